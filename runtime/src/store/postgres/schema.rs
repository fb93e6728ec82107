//! The tables, in a schema of their own. Each migration is one transaction and is never changed once released.
//!
//! The shape is SQLite's: what differs is what Postgres charges for. The journal is only ever added to.
//! `execution` is updated often, so its pages keep room, and it is vacuumed by rows changed, not by its size,
//! like the queues (`inbox`, `task`). No column that an update changes is in a unique index without a
//! condition: a lock `FOR KEY SHARE` on a row (a message on its way, a fence) then never waits for such an
//! update. `{s}` is the schema, `{now}` the database's clock in ms.

/// The migrations, oldest first. Their place, from 1, is the schema's version.
pub(super) const MIGRATIONS: &[&str] = &[V1, V2, V3, V4, V5];

/// The version this build writes.
pub(super) const fn version() -> i64 {
    MIGRATIONS.len() as i64
}

/// Where the migrations that were applied are noted.
pub(super) const MIGRATION_TABLE: &str = "
CREATE TABLE {s}.migration (
    version    bigint PRIMARY KEY,
    build      text   NOT NULL,          -- the abide that did it
    applied_at bigint NOT NULL
)";

const V1: &str = "
CREATE TABLE {s}.execution (
    id             bigint   PRIMARY KEY,     -- (block << 40) | counter, see id_block
    workflow_id    text     NOT NULL,
    run_id         text     NOT NULL,
    request_id     text,                     -- the user's; without one the run id serves
    type           text     NOT NULL,
    queue          text     NOT NULL,
    status         smallint NOT NULL,        -- 0 running, 1 suspended, 10 completed, 11 failed, 12 \
    canceled, 13 terminated
    owner          bigint,                   -- worker.id; NULL: claimable
    wake_at        bigint,                   -- ms; when it is due while nobody owns it
    active         boolean  NOT NULL DEFAULT false, -- a turn or an activity may be running in the owner
    crashes        integer  NOT NULL DEFAULT 0,
    recovered_from bigint,                   -- the dead worker it was taken from
    retried_until  bigint   NOT NULL DEFAULT 0,     -- no retry that was due later was ever started
    suspension     text,                     -- JSON: code, message, build, ..
    tried_builds   text[],                   -- have failed; each other build may try; NULL: none may
    trying_builds  text[],                   -- have taken it up since the last of them failed, and may not again
    input          text,                     -- JSON; NULL where the journal's first event has it
    result         text,                     -- JSON: the closing event
    created_at     bigint   NOT NULL,
    closed_at      bigint
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX execution_run_id     ON {s}.execution (run_id);
CREATE UNIQUE INDEX execution_request_id ON {s}.execution (request_id)  WHERE request_id IS NOT NULL;
CREATE INDEX        execution_workflow   ON {s}.execution (workflow_id);
CREATE UNIQUE INDEX execution_open       ON {s}.execution (workflow_id) WHERE status < 10;
CREATE INDEX        execution_due        ON {s}.execution (queue, wake_at)
    WHERE owner IS NULL AND status = 0 AND wake_at IS NOT NULL;
CREATE INDEX        execution_owner      ON {s}.execution (owner)       WHERE owner IS NOT NULL;
CREATE INDEX        execution_suspect    ON {s}.execution (queue, crashes)
    WHERE owner IS NULL AND status = 0 AND crashes >= 2;
CREATE INDEX        execution_retryable  ON {s}.execution (queue)       WHERE status < 2 AND tried_builds IS NOT NULL;

CREATE TABLE {s}.journal (
    execution bigint  NOT NULL,
    seq       bigint  NOT NULL CHECK (seq > 0),  -- number of the first event
    n         integer NOT NULL CHECK (n > 0),    -- how many events
    at        bigint  NOT NULL,          -- ms
    writer    bigint  NOT NULL,          -- worker.id; 0: written by a client (terminate)
    body      text    NOT NULL,          -- JSON array of events
    PRIMARY KEY (execution, seq)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

CREATE TABLE {s}.inbox (
    id         bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- an owner remembers what it has taken in
    execution  bigint   NOT NULL,
    kind       smallint NOT NULL,        -- 0 signal, 1 cancel, 2 query, 3 terminated, 4 attempt
    request_id text     NOT NULL,
    body       text     NOT NULL,
    at         bigint   NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE UNIQUE INDEX inbox_request ON {s}.inbox (execution, request_id);

-- Attempts that the database arbitrates. The row is the token: whoever deletes or replaces it decides.
CREATE TABLE {s}.task (
    execution bigint  NOT NULL,
    activity  bigint  NOT NULL,          -- number of its event
    attempt   integer NOT NULL,
    queue     text,                      -- NULL: the execution's owner runs it itself
    name      text    NOT NULL,
    input     text    NOT NULL,
    limits    text    NOT NULL,          -- JSON
    run_at    bigint  NOT NULL,          -- ms
    start_by  bigint,
    close_by  bigint,
    owner     bigint,                    -- worker.id of who runs it
    cancel    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (execution, activity)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX task_due      ON {s}.task (queue, run_at) WHERE owner IS NULL AND queue IS NOT NULL;
CREATE INDEX task_owner    ON {s}.task (owner)         WHERE owner IS NOT NULL;
CREATE INDEX task_start_by ON {s}.task (start_by)      WHERE owner IS NULL AND queue IS NOT NULL AND \
start_by IS NOT NULL;
CREATE INDEX task_stopped  ON {s}.task (execution)     WHERE owner IS NULL AND queue IS NOT NULL AND cancel;
CREATE INDEX task_close_by ON {s}.task (close_by)      WHERE queue IS NOT NULL AND close_by IS NOT NULL;

CREATE TABLE {s}.worker (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,    -- the incarnation; never reused
    name       text   NOT NULL,
    build      text   NOT NULL,
    queue      text   NOT NULL,
    types      text[] NOT NULL,          -- its workflow types
    life_key   bigint NOT NULL,          -- an advisory lock that its process holds while it lives
    started_at bigint NOT NULL
);
CREATE TABLE {s}.lease (
    worker      bigint   NOT NULL,
    slot        smallint NOT NULL,       -- one for each connection that writes under it
    lease_until bigint   NOT NULL,       -- ms
    renewed_at  bigint   NOT NULL,       -- ms
    PRIMARY KEY (worker, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE TABLE {s}.reply (
    request_id text   PRIMARY KEY,
    body       text   NOT NULL,
    expires_at bigint NOT NULL           -- ms
);
CREATE INDEX reply_expiry ON {s}.reply (expires_at);

-- One number a process and opening: the high half of the execution ids it makes.
CREATE SEQUENCE {s}.id_block;
";

/// A revision for each row that an owner changes (PROTOCOL 93), a nonce for each claim of a task, dedup keys
/// with their kind (PROTOCOL 41), attempts that failed and wait for their next (PROTOCOL 4), and which
/// process a worker is (PROTOCOL 18).
const V2: &str = "
ALTER TABLE {s}.execution ADD COLUMN rev bigint NOT NULL DEFAULT 0;  -- counts changes by owners, claims and take-overs
ALTER TABLE {s}.task ADD COLUMN nonce bigint NOT NULL DEFAULT 0;     -- drawn by each insert and each claim
ALTER TABLE {s}.reply ADD COLUMN stage smallint NOT NULL DEFAULT 0;  -- only goes up
ALTER TABLE {s}.worker ADD COLUMN process text NOT NULL DEFAULT '';  -- machine, boot, namespace and \
process; '': unknown
ALTER TABLE {s}.lease ADD COLUMN server text NOT NULL DEFAULT '';    -- which run of which server it was last renewed at
CREATE UNIQUE INDEX inbox_kind_request ON {s}.inbox (execution, kind, request_id);
DROP INDEX {s}.inbox_request;
-- The last failed attempt of each activity that will be tried again.
CREATE TABLE {s}.attempt (
    execution bigint  NOT NULL,
    activity  bigint  NOT NULL,          -- number of its event
    attempt   integer NOT NULL,          -- how many have failed
    next_at   bigint  NOT NULL,          -- ms; when the next is due
    failure   text    NOT NULL,          -- JSON
    PRIMARY KEY (execution, activity)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
";

/// The beginning of a migration that refuses while a worker of an older abide runs (PROTOCOL 92).
macro_rules! no_older_worker {
    () => {
        "
-- No worker of an older abide may run: it would ignore the new columns. The first look takes no lock, so that a refusal
-- delays nobody. The second is made under locks, in the engine's own order, so that no worker registers meanwhile.
DO $$
DECLARE older text;
BEGIN
    FOR look IN 1..2 LOOP
        SELECT string_agg(format('`%s` on task queue `%s`', w.name, w.queue), ', ' ORDER BY w.id) INTO older
            FROM {s}.worker w
            WHERE EXISTS (SELECT FROM {s}.lease l WHERE l.worker = w.id AND l.lease_until > {now});
        IF older IS NOT NULL THEN
            RAISE EXCEPTION 'workers of an older abide are running (%): shut them down first', older
                USING ERRCODE = '55006';
        END IF;
        LOCK TABLE {s}.lease, {s}.execution, {s}.inbox, {s}.worker IN ACCESS EXCLUSIVE MODE;
    END LOOP;
END $$;
"
    };
}

/// Columns for children, continued runs, schedules, time limits and versions. No statement sets them yet.
/// They come in one migration, because it requires that all older workers have ended (PROTOCOL 92).
///
/// Left to the migrations of the features that read them, because each would cost every run or task something
/// today: the index `(closed_at)` for the deletion of old runs (an entry per close); the columns of `task`
/// for heartbeats, limits and priorities, which need other indexes for its claims; new tables.
///
/// A run that was not continued from another has no `chain`: it is the first of its own, and the index has no
/// entry for it.
const V3: &str = concat!(
    no_older_worker!(),
    "
ALTER TABLE {s}.execution
    ADD COLUMN version      integer,             -- of the workflow's code; NULL: not decided, or 1 if \
    there is a journal
    ADD COLUMN attempt      integer  NOT NULL DEFAULT 1, -- of the workflow, if it is retried as a whole
    ADD COLUMN chain        bigint,              -- the first run of its chain; NULL: this one
    ADD COLUMN next         bigint,              -- the run that goes on for it
    ADD COLUMN parent       bigint,              -- the run that started it
    ADD COLUMN child_no     bigint,              -- number of the parent's event that started it
    ADD COLUMN close_policy smallint,            -- when the parent closes: 0 nothing (left), 1 cancel, 2 terminate
    ADD COLUMN schedule     bigint,              -- the schedule that started it
    ADD COLUMN slot         bigint,              -- ms; for which of its times
    ADD COLUMN close_by     bigint,              -- ms; the run's time limit
    ADD COLUMN chain_by     bigint,              -- ms; the chain's
    ADD COLUMN context      text,                -- JSON: what it begins with besides its input
    ADD COLUMN told         boolean  NOT NULL DEFAULT false, -- closed, and its parent and schedule know
    ADD COLUMN orphans      boolean  NOT NULL DEFAULT false, -- closed, and children are still to be told so
    -- An older client that ends a run does not know whom to tell.
    ADD CONSTRAINT execution_told CHECK (status < 10 OR parent IS NULL AND schedule IS NULL OR told);
-- By equality and by prefix, the newest last.
CREATE INDEX execution_newest   ON {s}.execution (workflow_id text_pattern_ops, created_at, id);
DROP INDEX {s}.execution_workflow;
CREATE INDEX execution_chain    ON {s}.execution (chain, created_at) WHERE chain IS NOT NULL;
CREATE INDEX execution_children ON {s}.execution (parent, child_no)  WHERE parent IS NOT NULL AND status < 10;
CREATE INDEX execution_orphans  ON {s}.execution (id)                WHERE orphans;
CREATE INDEX execution_close_by ON {s}.execution (close_by)          WHERE close_by IS NOT NULL AND status < 10;

ALTER TABLE {s}.inbox ADD COLUMN parked boolean NOT NULL DEFAULT false;  -- its run is suspended
CREATE INDEX inbox_unparked  ON {s}.inbox (execution) WHERE NOT parked;
CREATE INDEX inbox_terminate ON {s}.inbox (execution) WHERE kind = 8;

-- Of the abide that registers. An older one gives none, and is refused.
ALTER TABLE {s}.worker
    ADD COLUMN schema integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT worker_of_an_older_abide CHECK (schema >= 3) NOT VALID;
"
);

/// What the statuses 14 and 15 and the inbox kinds 5 to 8 need (PROTOCOL 32 to 67): an older worker would neither
/// end a run whose time is up nor tell a parent. The tables of streams.
const V4: &str = concat!(
    no_older_worker!(),
    "
-- A claim looks for runs without an owner whose time is up: it must not walk over those that have one.
DROP INDEX {s}.execution_close_by;
CREATE INDEX execution_close_by ON {s}.execution (close_by)
    WHERE close_by IS NOT NULL AND status < 10 AND owner IS NULL;

-- What runs publish (see store/stream.rs). One row a stream: its next number, and the bytes of all its items ever.
CREATE TABLE {s}.stream (
    execution bigint  NOT NULL,
    name      text    NOT NULL,
    next_seq  bigint  NOT NULL,
    bytes     bigint  NOT NULL,
    PRIMARY KEY (execution, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE TABLE {s}.stream_item (
    execution bigint  NOT NULL,
    name      text    NOT NULL,
    seq       bigint  NOT NULL,
    at        bigint  NOT NULL,          -- ms
    attempt   integer,                   -- of the activity that published it; NULL: the workflow did
    begins    bigint  NOT NULL,          -- the bytes of the stream before it: a cut finds its place by it
    body      text    NOT NULL,          -- JSON
    PRIMARY KEY (execution, name, seq)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

ALTER TABLE {s}.worker
    DROP CONSTRAINT worker_of_an_older_abide,
    ADD CONSTRAINT worker_of_an_older_abide CHECK (schema >= 4) NOT VALID;
"
);

/// What long activities, limits of task queues and schedules need (PROTOCOL 68 to 79). An older worker would claim
/// tasks past a limit, take over what was handed out, and drop the details of a heartbeat.
const V5: &str = concat!(
    no_older_worker!(),
    "
-- Heartbeats change a row often, and none of their columns is in an index: room in the page keeps them cheap.
ALTER TABLE {s}.task SET (fillfactor = 70);
ALTER TABLE {s}.task
    ADD COLUMN details   text,                            -- JSON: what the last heartbeat told
    ADD COLUMN beat_at   bigint,                          -- ms; when it came
    ADD COLUMN beat_by   bigint,                          -- ms; handed out: the next heartbeat must come by then
    ADD COLUMN end_by    bigint,                          -- ms; handed out: the attempt is given up then
    ADD COLUMN handed    boolean  NOT NULL DEFAULT false, -- the holder of its token completes it, no worker
    ADD COLUMN limit_key text COLLATE \"C\" NOT NULL DEFAULT '',  -- which limit of its queue counts it; '': none
    ADD COLUMN priority  smallint NOT NULL DEFAULT 3,     -- 1 (first) to 5
    ADD COLUMN fair_key  text COLLATE \"C\" NOT NULL DEFAULT '',  -- keys of one priority are served in turn
    ADD COLUMN weight    integer  NOT NULL DEFAULT 1;     -- how many of its key are taken in a turn
DROP INDEX {s}.task_due;
-- What no worker has: without limits and keys, and with them.
CREATE INDEX task_due     ON {s}.task (queue, priority, run_at)
    WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND limit_key = '' AND fair_key = '';
CREATE INDEX task_keyed   ON {s}.task (queue, priority, fair_key, limit_key, run_at)
    WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND (limit_key <> '' OR fair_key <> '');
CREATE INDEX task_running ON {s}.task (queue, limit_key) WHERE (owner IS NOT NULL OR handed) AND limit_key <> '';
CREATE INDEX task_beat_by ON {s}.task (beat_by) WHERE handed AND beat_by IS NOT NULL;
CREATE INDEX task_end_by  ON {s}.task (end_by)  WHERE handed AND end_by IS NOT NULL;

-- Limits that hold for all workers of a task queue. The last worker that started has written them.
CREATE TABLE {s}.queue_limit (
    queue    text             NOT NULL,
    key      text COLLATE \"C\" NOT NULL,  -- of a task: its limit_key
    activity text             NOT NULL,  -- whose limits it has; the key itself, or the calls of each key apart
    most     integer,                    -- how many run at once; NULL: any number
    rate     double precision,           -- how many start a second; NULL: any number
    burst    double precision NOT NULL,  -- how many at once after a rest
    tokens   double precision NOT NULL,
    at       bigint           NOT NULL,  -- ms; when tokens was right
    PRIMARY KEY (queue, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE {s}.schedule (
    id         text    PRIMARY KEY,
    number     bigint  NOT NULL UNIQUE CHECK (number < 0),  -- what its runs name it by, and its inbox rows
    spec       text    NOT NULL,         -- JSON: when
    action     text    NOT NULL,         -- JSON: what is started
    policy     text    NOT NULL,         -- JSON: overlap, catch-up and the like
    state      text    NOT NULL,         -- JSON: what runs, what waits, counts
    note       text,
    paused     boolean NOT NULL DEFAULT false,
    halted     boolean NOT NULL DEFAULT false,  -- its own step has failed: paused, and takes nothing in
    next_at    bigint,                   -- ms; NULL: never again
    last_slot  bigint,                   -- ms; no slot up to it is ever started again
    version    bigint  NOT NULL DEFAULT 1,
    created_at bigint  NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX schedule_next ON {s}.schedule (next_at) WHERE next_at IS NOT NULL;

ALTER TABLE {s}.worker
    DROP CONSTRAINT worker_of_an_older_abide,
    ADD CONSTRAINT worker_of_an_older_abide CHECK (schema >= 5) NOT VALID;
"
);
