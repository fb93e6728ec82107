//! The batch's statements: what one group commit sends, as one multi-statement call (PROTOCOL 10).
//!
//! Sections that a batch does not need are left out; the text is made once per combination and prepared once. Each
//! takes its rows as one JSON array (`$1`, `$5`, ..) with long texts cut out of one blob (`$2`). Parameters are
//! written `$n`: sqlx binds a gap in `?n` to something else. Order matters: fence first, then what is inserted,
//! then the inbox, then the check before a close, and rows that change hands last.

use std::sync::Arc;

/// Which sections a batch has; bits of [`Sections`].
pub(super) const CREATES: u8 = 1;
pub(super) const JOURNAL: u8 = 2;
pub(super) const CONSUMED: u8 = 4;
pub(super) const MESSAGES: u8 = 8;
pub(super) const CLOSES: u8 = 16;
pub(super) const ROWS: u8 = 32;

/// Starts already owned. A taken id inserts nothing; the rest of its append then finds no row and stays out too.
/// Reuse policies other than the default look at the newest closed run (2 refuses any, 1 a completed one).
const INSERT_EXECUTIONS: &str = "
INSERT INTO execution (id, workflow_id, run_id, request_id, type, queue, status, owner, wake_at, active,
    suspension, tried_builds, input, created_at, closed_at, result)
SELECT c.value->>0, c.value->>1, c.value->>2, c.value->>3, c.value->>4, c.value->>5, c.value->>6, c.value->>7,
    c.value->>8, c.value->>9, c.value->>10, c.value->>11, c.value->>12, c.value->>13, c.value->>14,
    CASE WHEN c.value->>15 THEN CAST(substr($2, c.value->>15, c.value->>16) AS TEXT) END
FROM json_each($5) c
WHERE CASE c.value->>17 WHEN 0 THEN 1 ELSE coalesce((
    SELECT CASE c.value->>17 WHEN 1 THEN x.status <> 10 ELSE 0 END FROM execution x
    WHERE x.workflow_id = c.value->>1 AND x.status >= 10 ORDER BY x.id DESC LIMIT 1), 1) END
  AND NOT EXISTS (SELECT 1 FROM execution x WHERE x.run_id = c.value->>3)
ON CONFLICT DO NOTHING";

const INSERT_JOURNAL: &str = "
INSERT INTO journal (execution, seq, n, at, writer, body)
SELECT j.value->>0, j.value->>1, j.value->>2, j.value->>3, j.value->>4,
    CAST(substr($2, j.value->>5, j.value->>6) AS TEXT)
FROM json_each($1) j";

/// Where the batch has starts: their rows only if the start is in.
const ONLY_STARTED: &str = "
WHERE CASE j.value->>7 WHEN 1 THEN EXISTS (SELECT 1 FROM execution WHERE id = j.value->>0) ELSE 1 END";

/// A batch of nothing but journal rows is one statement, and so its own transaction: it filters nothing, so rows
/// written are rows sent, and the fence raises from within.
const ONLY_FENCED: &str = "
WHERE CASE WHEN NOT EXISTS (SELECT 1 FROM json_each($3) f
        WHERE NOT EXISTS (SELECT 1 FROM lease WHERE worker = f.value AND slot = 0))
    THEN 1 ELSE json_extract('{}', 'abide_fenced_' || j.key) END";

const FENCE: &str = "
SELECT json_extract('{}', 'abide_fenced_' || f.value) FROM json_each($3) f
WHERE NOT EXISTS (SELECT 1 FROM lease WHERE worker = f.value AND slot = 0)";

/// The path names the number, so that it is no constant, which SQLite would evaluate before it is asked for.
const CHECK_JOURNAL: &str = "
SELECT json_extract('{}', 'abide_rows_' || w.n) FROM (SELECT changes() AS n) w WHERE w.n <> $4";

const CHECK_JOURNAL_AND_STARTS: &str = "
SELECT json_extract('{}', 'abide_rows_' || w.n) FROM (SELECT changes() AS n) w
WHERE w.n <> $4 - (SELECT count(*) FROM json_each($5) c WHERE c.value->>12 IS NULL
    AND NOT EXISTS (SELECT 1 FROM execution WHERE id = c.value->>0))";

const DELETE_CONSUMED: &str = "
DELETE FROM inbox WHERE id IN (SELECT value FROM json_each($6))";

const INSERT_MESSAGES: &str = "
INSERT INTO inbox (execution, kind, request_id, body, at)
SELECT m.value->>0, m.value->>1, m.value->>2, m.value->>3, m.value->>4 FROM json_each($7) m
WHERE EXISTS (SELECT 1 FROM execution WHERE id = m.value->>0 AND status < 10)
  AND EXISTS (SELECT 1 FROM execution WHERE id = m.value->>5)
ON CONFLICT DO NOTHING";

const CHECK_CLOSES: &str = "
SELECT json_extract('{}', 'abide_conflict_' || i.id) FROM json_each($8) x JOIN inbox i ON i.execution = x.value";

/// A row that is not its owner's any more, or closed meanwhile, is left alone, and the check below raises.
const UPDATE_ROWS: &str = "
UPDATE execution SET
    status = coalesce(u.value->>2, status),
    owner = CASE WHEN u.value->>3 THEN NULL ELSE owner END,
    wake_at = CASE WHEN u.value->>4 THEN u.value->>5 ELSE wake_at END,
    active = coalesce(u.value->>6, active),
    result = CASE WHEN u.value->>7 THEN CAST(substr($2, u.value->>7, u.value->>8) AS TEXT) ELSE result END,
    closed_at = coalesce(u.value->>9, closed_at),
    crashes = CASE WHEN u.value->>10 THEN 0 ELSE crashes END,
    recovered_from = CASE WHEN u.value->>11 THEN NULL ELSE recovered_from END,
    suspension = CASE WHEN u.value->>2 IS NULL THEN suspension ELSE u.value->>12 END,
    tried_builds = CASE
        WHEN u.value->>13 IS NOT NULL THEN json_insert(coalesce(tried_builds, '[]'), '$[#]', u.value->>13)
        WHEN u.value->>10 OR u.value->>2 IS NOT NULL THEN NULL
        ELSE tried_builds END
FROM json_each($9) u
WHERE execution.id = u.value->>0 AND execution.owner = u.value->>1
  AND (execution.status < 10 OR u.value->>2 IS NULL)";

const CHECK_ROWS: &str = "
SELECT json_extract('{}', 'abide_lost_' || w.n) FROM (SELECT changes() AS n) w WHERE w.n <> $10";

/// The starts that are not in: the only rows that a batch gives back.
const NOT_STARTED: &str = "
SELECT c.value->>0 FROM json_each($5) c WHERE NOT EXISTS (SELECT 1 FROM execution WHERE id = c.value->>0)";

/// The text for these sections. `transaction`: with its own BEGIN and COMMIT.
pub(super) fn text(sections: u8, transaction: bool) -> Arc<str> {
    if sections == JOURNAL && transaction {
        return Arc::from(format!("{INSERT_JOURNAL}{ONLY_FENCED}"));
    }
    let has = |section| sections & section != 0;
    let mut parts: Vec<String> = Vec::new();
    let mut add = |part: &str| parts.push(part.to_owned());
    if transaction {
        add("BEGIN IMMEDIATE");
    }
    add(FENCE);
    if has(CREATES) {
        add(INSERT_EXECUTIONS);
    }
    if has(JOURNAL) && has(CREATES) {
        add(&format!("{INSERT_JOURNAL}{ONLY_STARTED}"));
        add(CHECK_JOURNAL_AND_STARTS);
    } else if has(JOURNAL) {
        add(INSERT_JOURNAL);
        add(CHECK_JOURNAL);
    }
    if has(CONSUMED) {
        add(DELETE_CONSUMED);
    }
    if has(MESSAGES) {
        add(INSERT_MESSAGES);
    }
    if has(CLOSES) {
        add(CHECK_CLOSES);
    }
    if has(ROWS) {
        add(UPDATE_ROWS);
        add(CHECK_ROWS);
    }
    if has(CREATES) {
        add(NOT_STARTED);
    }
    if transaction {
        add("COMMIT");
    }
    Arc::from(parts.join(";"))
}
