//! The tables. Text as one reads it in `sqlite3 orders.db .schema`; each migration is one transaction and is never
//! changed once released.
//!
//! Keys are integers in time order, so that inserts go to the right edge of every tree. The journal is a
//! rowid table with a unique index: measured 1.5x faster than `WITHOUT ROWID`, since a row of some size is
//! not moved when its page splits. Partial indexes hold only what is claimable, owned or open, so that the
//! closed, which are most, cost nothing. STRICT: a value of the wrong type is an error, not a surprise for
//! the reader. No foreign keys: every statement that writes joins the row it depends on.

/// The migrations, oldest first. Their place, from 1, is the schema's version.
pub(super) const MIGRATIONS: &[&str] = &[V1, V2, V3, V4, V5, V6, V7];

/// The migrations that refuse while a worker of an older abide runs (PROTOCOL 92).
pub(super) const REFUSES_OLDER: &[i64] = &[5, 6, 7];

/// Marks the file as abide's: "ABID".
pub(super) const APPLICATION_ID: i64 = 0x4142_4944;

/// The version this build writes.
pub(super) const fn version() -> i64 {
    MIGRATIONS.len() as i64
}

const V1: &str = "
CREATE TABLE execution (
    id             INTEGER PRIMARY KEY,  -- (block << 40) | counter, see id_block
    workflow_id    TEXT    NOT NULL,
    run_id         TEXT    NOT NULL,
    request_id     TEXT,                 -- the user's; without one the run id serves
    type           TEXT    NOT NULL,
    queue          TEXT    NOT NULL,
    status         INTEGER NOT NULL,     -- 0 running, 1 suspended, 10 completed, 11 failed, 12 canceled, 13 terminated
    owner          INTEGER,              -- worker.id; NULL: claimable
    wake_at        INTEGER,              -- ms; when it is due while nobody owns it
    active         INTEGER NOT NULL DEFAULT 0,  -- 1: a turn or an activity may be running in the owner
    crashes        INTEGER NOT NULL DEFAULT 0,
    recovered_from INTEGER,              -- the dead worker it was taken from
    suspension     TEXT,                 -- JSON: code, message, build, ..
    tried_builds   TEXT,                 -- JSON array: have failed; each other build may try; NULL: none may
    trying_builds  TEXT,                 -- JSON array: have taken it up since the last of them failed, and \
    may not again
    input          TEXT,                 -- JSON; NULL where the journal's first event has it
    result         TEXT,                 -- JSON: the closing event
    created_at     INTEGER NOT NULL,
    closed_at      INTEGER
) STRICT;
CREATE UNIQUE INDEX execution_run_id     ON execution (run_id);
CREATE UNIQUE INDEX execution_request_id ON execution (request_id)  WHERE request_id IS NOT NULL;
CREATE INDEX        execution_workflow   ON execution (workflow_id);
CREATE UNIQUE INDEX execution_open       ON execution (workflow_id) WHERE status < 10;
CREATE INDEX        execution_due        ON execution (queue, wake_at)
    WHERE owner IS NULL AND status = 0 AND wake_at IS NOT NULL;
CREATE INDEX        execution_owner      ON execution (owner)       WHERE owner IS NOT NULL;
CREATE INDEX        execution_retryable  ON execution (queue)       WHERE status < 2 AND tried_builds IS NOT NULL;

CREATE TABLE journal (
    execution INTEGER NOT NULL,
    seq       INTEGER NOT NULL CHECK (seq > 0),  -- number of the first event
    n         INTEGER NOT NULL CHECK (n > 0),    -- how many events
    at        INTEGER NOT NULL,          -- ms
    writer    INTEGER NOT NULL,          -- worker.id; 0: written by a client (terminate)
    body      TEXT    NOT NULL           -- JSON array of events
) STRICT;
CREATE UNIQUE INDEX journal_seq ON journal (execution, seq);

CREATE TABLE inbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: an owner remembers what it has taken in
    execution  INTEGER NOT NULL,
    kind       INTEGER NOT NULL,         -- 0 signal, 1 cancel, 2 query, 3 terminated
    request_id TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX inbox_request ON inbox (execution, request_id);

CREATE TABLE worker (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- the incarnation; never reused
    name       TEXT    NOT NULL,
    build      TEXT    NOT NULL,
    queue      TEXT    NOT NULL,
    lock_file  TEXT    NOT NULL,         -- beside the database; locked while the process lives
    started_at INTEGER NOT NULL
) STRICT;
CREATE TABLE lease (
    worker      INTEGER NOT NULL,
    slot        INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,        -- ms
    PRIMARY KEY (worker, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE reply (
    request_id TEXT    PRIMARY KEY,
    body       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL          -- ms
) STRICT, WITHOUT ROWID;

-- One row a process and opening: the high half of the execution ids it makes.
CREATE TABLE id_block (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    taken_at INTEGER NOT NULL
) STRICT;
";

/// No retry of an activity that was due later than this was ever started (ms).
const V2: &str = "
ALTER TABLE execution ADD COLUMN retried_until INTEGER NOT NULL DEFAULT 0;
";

/// Attempts that the database arbitrates: the write that deletes or replaces the row decides the attempt. A
/// rowid table, since an input may be long.
const V3: &str = "
ALTER TABLE worker ADD COLUMN types TEXT NOT NULL DEFAULT '[]';  -- JSON array: its workflow types
CREATE TABLE task (
    execution INTEGER NOT NULL,
    activity  INTEGER NOT NULL,          -- number of the event that scheduled it
    attempt   INTEGER NOT NULL,          -- from 1
    queue     TEXT,                      -- NULL: the execution's owner runs it, the row only arbitrates
    name      TEXT    NOT NULL,
    input     TEXT    NOT NULL,          -- JSON; empty where the owner runs it
    limits    TEXT    NOT NULL,          -- JSON: what its runner must know
    run_at    INTEGER NOT NULL,          -- ms; when it may be claimed
    start_by  INTEGER,                   -- ms; unclaimed by then, it is given up
    close_by  INTEGER,                   -- ms; not ended by then, it is given up
    owner     INTEGER,                   -- worker.id; NULL: claimable
    cancel    INTEGER NOT NULL DEFAULT 0,  -- 1: its owner is asked to stop it
    PRIMARY KEY (execution, activity)
) STRICT;
CREATE INDEX task_due      ON task (queue, run_at) WHERE owner IS NULL AND queue IS NOT NULL;
CREATE INDEX task_owner    ON task (owner)         WHERE owner IS NOT NULL;
CREATE INDEX task_start_by ON task (start_by)      WHERE owner IS NULL AND start_by IS NOT NULL;
CREATE INDEX task_close_by ON task (close_by)      WHERE close_by IS NOT NULL;
CREATE INDEX execution_suspect ON execution (queue, crashes) WHERE owner IS NULL AND status = 0 AND crashes >= 2;
";

/// A revision for each row that an owner changes (PROTOCOL 93), a nonce for each claim of a task, dedup keys
/// with their kind (PROTOCOL 41), and attempts that failed and wait for their next (PROTOCOL 4).
const V4: &str = "
ALTER TABLE execution ADD COLUMN rev INTEGER NOT NULL DEFAULT 0;  -- counts changes by owners, claims and take-overs
ALTER TABLE task ADD COLUMN nonce INTEGER NOT NULL DEFAULT 0;     -- drawn by each insert and each claim
ALTER TABLE reply ADD COLUMN stage INTEGER NOT NULL DEFAULT 0;    -- only goes up
DROP INDEX inbox_request;
CREATE UNIQUE INDEX inbox_kind_request ON inbox (execution, kind, request_id);
-- The last failed attempt of each activity that will be tried again.
CREATE TABLE attempt (
    execution INTEGER NOT NULL,
    activity  INTEGER NOT NULL,          -- number of its event
    attempt   INTEGER NOT NULL,          -- how many have failed
    next_at   INTEGER NOT NULL,          -- ms; when the next is due
    failure   TEXT    NOT NULL,          -- JSON
    PRIMARY KEY (execution, activity)
) STRICT;
";

/// Columns for children, continued runs, schedules, time limits and versions. No statement sets them yet.
/// They come in one migration, because it requires that all older workers have ended (PROTOCOL 92).
///
/// Left to the migrations of the features that read them, because each would cost every run or task something
/// today: the index `(closed_at)` for the deletion of old runs (an entry per close); the columns of `task`
/// for heartbeats, limits and priorities, which need other indexes for its claims; new tables.
///
/// A run that was not continued from another has no `chain`: it is the first of its own, and the index has no
/// entry for it.
const V5: &str = "
ALTER TABLE execution ADD COLUMN version      INTEGER;  -- of the workflow's code; NULL: not decided, or 1 \
if there is a journal
ALTER TABLE execution ADD COLUMN attempt      INTEGER NOT NULL DEFAULT 1;  -- of the workflow, if it is \
retried as a whole
ALTER TABLE execution ADD COLUMN chain        INTEGER;  -- the first run of its chain; NULL: this one
ALTER TABLE execution ADD COLUMN next         INTEGER;  -- the run that goes on for it
ALTER TABLE execution ADD COLUMN parent       INTEGER;  -- the run that started it
ALTER TABLE execution ADD COLUMN child_no     INTEGER;  -- number of the parent's event that started it
ALTER TABLE execution ADD COLUMN close_policy INTEGER;  -- when the parent closes: 0 nothing (left), 1 \
cancel, 2 terminate
ALTER TABLE execution ADD COLUMN schedule     INTEGER;  -- the schedule that started it
ALTER TABLE execution ADD COLUMN slot         INTEGER;  -- ms; for which of its times
ALTER TABLE execution ADD COLUMN close_by     INTEGER;  -- ms; the run's time limit
ALTER TABLE execution ADD COLUMN chain_by     INTEGER;  -- ms; the chain's
ALTER TABLE execution ADD COLUMN context      TEXT;     -- JSON: what it begins with besides its input
ALTER TABLE execution ADD COLUMN told         INTEGER NOT NULL DEFAULT 0  -- 1: closed, and its parent and schedule know
    CONSTRAINT execution_told CHECK (status < 10 OR (parent IS NULL AND schedule IS NULL) OR told);
ALTER TABLE execution ADD COLUMN orphans      INTEGER NOT NULL DEFAULT 0; -- 1: closed, and children are \
still to be told so
CREATE INDEX execution_newest   ON execution (workflow_id, created_at, id);
DROP INDEX execution_workflow;
CREATE INDEX execution_chain    ON execution (chain, created_at) WHERE chain IS NOT NULL;
CREATE INDEX execution_children ON execution (parent, child_no)  WHERE parent IS NOT NULL AND status < 10;
CREATE INDEX execution_orphans  ON execution (id)                WHERE orphans;
CREATE INDEX execution_close_by ON execution (close_by)          WHERE close_by IS NOT NULL AND status < 10;

ALTER TABLE inbox ADD COLUMN parked INTEGER NOT NULL DEFAULT 0;  -- 1: its run is suspended
CREATE INDEX inbox_unparked  ON inbox (execution) WHERE NOT parked;
CREATE INDEX inbox_terminate ON inbox (execution) WHERE kind = 8;

-- Of the abide that registers. An older one gives none, and is refused.
ALTER TABLE worker ADD COLUMN schema INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER worker_of_an_older_abide BEFORE INSERT ON worker WHEN new.schema < 5
BEGIN SELECT RAISE(ABORT, 'a newer abide has migrated this database: a worker of this one cannot start'); END;
";

/// What the statuses 14 and 15 and the inbox kinds 5 to 8 need (PROTOCOL 32 to 67): an older worker would neither
/// end a run whose time is up nor tell a parent. The tables of streams, and an index for replies that expire.
const V6: &str = "
CREATE INDEX reply_expiry ON reply (expires_at);

-- A claim looks for runs without an owner whose time is up: it must not walk over those that have one.
DROP INDEX execution_close_by;
CREATE INDEX execution_close_by ON execution (close_by) WHERE close_by IS NOT NULL AND status < 10 AND owner IS NULL;

-- What runs publish (see store/stream.rs). One row a stream: its next number, and the bytes of all its items ever.
CREATE TABLE stream (
    execution INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    next_seq  INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (execution, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE stream_item (
    execution INTEGER NOT NULL,
    name      TEXT    NOT NULL,
    seq       INTEGER NOT NULL,
    at        INTEGER NOT NULL,          -- ms
    attempt   INTEGER,                   -- of the activity that published it; NULL: the workflow did
    begins    INTEGER NOT NULL,          -- the bytes of the stream before it: a cut finds its place by it
    body      TEXT    NOT NULL,          -- JSON
    PRIMARY KEY (execution, name, seq)
) STRICT;

DROP TRIGGER worker_of_an_older_abide;
CREATE TRIGGER worker_of_an_older_abide BEFORE INSERT ON worker WHEN new.schema < 6
BEGIN SELECT RAISE(ABORT, 'a newer abide has migrated this database: a worker of this one cannot start'); END;
";

/// What long activities, limits of task queues and schedules need (PROTOCOL 68 to 79). An older worker would claim
/// tasks past a limit, take over what was handed out, and drop the details of a heartbeat.
const V7: &str = "
ALTER TABLE task ADD COLUMN details   TEXT;     -- JSON: what the last heartbeat told
ALTER TABLE task ADD COLUMN beat_at   INTEGER;  -- ms; when it came
ALTER TABLE task ADD COLUMN beat_by   INTEGER;  -- ms; handed out: the next heartbeat must come by then
ALTER TABLE task ADD COLUMN end_by    INTEGER;  -- ms; handed out: the attempt is given up then
ALTER TABLE task ADD COLUMN handed    INTEGER NOT NULL DEFAULT 0;  -- 1: the holder of its token completes it, no worker
ALTER TABLE task ADD COLUMN limit_key TEXT    NOT NULL DEFAULT '';  -- which limit of its queue counts it; '': none
ALTER TABLE task ADD COLUMN priority  INTEGER NOT NULL DEFAULT 3;  -- 1 (first) to 5
ALTER TABLE task ADD COLUMN fair_key  TEXT    NOT NULL DEFAULT '';  -- keys of one priority are served in turn
ALTER TABLE task ADD COLUMN weight    INTEGER NOT NULL DEFAULT 1;  -- how many of its key are taken in a turn
DROP INDEX task_due;
-- What no worker has: without limits and keys, and with them.
CREATE INDEX task_due     ON task (queue, priority, run_at)
    WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND limit_key = '' AND fair_key = '';
CREATE INDEX task_keyed   ON task (queue, priority, fair_key, limit_key, run_at)
    WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND (limit_key <> '' OR fair_key <> '');
CREATE INDEX task_running ON task (queue, limit_key) WHERE (owner IS NOT NULL OR handed) AND limit_key <> '';
CREATE INDEX task_beat_by ON task (beat_by) WHERE handed AND beat_by IS NOT NULL;
CREATE INDEX task_end_by  ON task (end_by)  WHERE handed AND end_by IS NOT NULL;

-- Limits that hold for all workers of a task queue. The last worker that started has written them.
CREATE TABLE queue_limit (
    queue    TEXT    NOT NULL,
    key      TEXT    NOT NULL,           -- of a task: its limit_key
    activity TEXT    NOT NULL,           -- whose limits it has; the key itself, or the calls of each key apart
    most     INTEGER,                    -- how many run at once; NULL: any number
    rate     REAL,                       -- how many start a second; NULL: any number
    burst    REAL    NOT NULL,           -- how many at once after a rest
    tokens   REAL    NOT NULL,
    at       INTEGER NOT NULL,           -- ms; when tokens was right
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule (
    id         TEXT    NOT NULL PRIMARY KEY,
    number     INTEGER NOT NULL UNIQUE CHECK (number < 0),  -- what its runs name it by, and its inbox rows
    spec       TEXT    NOT NULL,         -- JSON: when
    action     TEXT    NOT NULL,         -- JSON: what is started
    policy     TEXT    NOT NULL,         -- JSON: overlap, catch-up and the like
    state      TEXT    NOT NULL,         -- JSON: what runs, what waits, counts
    note       TEXT,
    paused     INTEGER NOT NULL DEFAULT 0,
    halted     INTEGER NOT NULL DEFAULT 0,  -- its own step has failed: paused, and takes nothing in
    next_at    INTEGER,                  -- ms; NULL: never again
    last_slot  INTEGER,                  -- ms; no slot up to it is ever started again
    version    INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;

DROP TRIGGER worker_of_an_older_abide;
CREATE TRIGGER worker_of_an_older_abide BEFORE INSERT ON worker WHEN new.schema < 7
BEGIN SELECT RAISE(ABORT, 'a newer abide has migrated this database: a worker of this one cannot start'); END;
";
