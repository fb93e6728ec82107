//! The section of a batch that changes tasks: what a turn decides about attempts that the database arbitrates
//! (PROTOCOL 22).

use crate::store::Place;
use crate::store::decide::outcome_row;

/// Whether the sender with this id is in: the appends of a start that is not in leave nothing.
macro_rules! sender_is_in {
    ($id:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM execution WHERE id = ",
            $id,
            ") AND NOT EXISTS (SELECT 1 FROM json_each($11) c JOIN execution e ON e.id = c.value
    WHERE c.value = ",
            $id,
            " AND e.input IS NOT NULL)"
        )
    };
}
pub(super) use sender_is_in;

/// What an append means to a row that is there.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is not wanted any more.
    Dropped = 0,
    /// The owner decides the attempt: without the row it was decided otherwise.
    Decided = 1,
    /// To be stopped; not begun, its outcome is there at once.
    Cancelled = 2,
    /// The owner decides the attempt, and the next one takes its row.
    Replaced = 3,
}

/// A place in a task queue, as the last columns of a new row.
pub(super) fn place(of: &Place) -> String {
    let text = |text: &str| serde_json::Value::from(text);
    format!("{},{},{},{}", text(&of.limit_key), of.priority, text(&of.fair_key), of.weight)
}

/// The batch's section. `$12`: execution, activity, attempt, fate, time; `$13`: what comes, its input and its
/// details cut out of the blob, and 1 where it takes the row of the attempt before. What was claimed and is cancelled
/// stays, with its mark. What comes back: the owners of those who have an outcome now, and who runs what has to stop.
pub(super) const CHANGES: [&str; 6] = [
    "
SELECT json_extract('{}', 'abide_conflict_' || x.key) FROM json_each($12) x
WHERE x.value->>3 IN (1, 3) AND NOT EXISTS (SELECT 1 FROM task t
    WHERE t.execution = x.value->>0 AND t.activity = x.value->>1 AND t.attempt = x.value->>2)",
    concat!(
        "
INSERT INTO inbox (execution, kind, request_id, body, at)
SELECT ",
        outcome_row!("t.", "'\"cancelled\"'"),
        ", x.value->>4
FROM json_each($12) x CROSS JOIN task t ON t.execution = x.value->>0 AND t.activity = x.value->>1
WHERE x.value->>3 = 2 AND t.owner IS NULL AND NOT t.handed AND t.queue IS NOT NULL
ON CONFLICT DO NOTHING
RETURNING NULL, (SELECT e.owner FROM execution e WHERE e.id = execution), NULL"
    ),
    "
UPDATE task SET cancel = 1 WHERE (owner IS NOT NULL OR handed) AND rowid IN (
    SELECT t.rowid FROM json_each($12) x CROSS JOIN task t ON t.execution = x.value->>0 AND t.activity = x.value->>1
    WHERE x.value->>3 = 2)
RETURNING NULL, owner, NULL",
    "
DELETE FROM task WHERE rowid IN (
    SELECT t.rowid FROM json_each($12) x CROSS JOIN task t ON t.execution = x.value->>0 AND t.activity = x.value->>1
    WHERE x.value->>3 < 2 OR x.value->>3 = 2 AND t.owner IS NULL AND NOT t.handed AND t.queue IS NOT NULL)
RETURNING NULL, owner, NULL",
    "
WITH n AS MATERIALIZED (SELECT t.rowid AS id, x.value AS v FROM json_each($13) x
    CROSS JOIN task t ON t.execution = x.value->>0 AND t.activity = x.value->>1 WHERE x.value->>13 = 1)
UPDATE task SET attempt = n.v->>2, queue = n.v->>3, name = n.v->>4,
    input = CAST(substr($2, n.v->>5, n.v->>6) AS TEXT), limits = n.v->>7, run_at = n.v->>8, start_by = n.v->>9,
    close_by = n.v->>10, details = coalesce(CAST(substr($2, n.v->>11, n.v->>12) AS TEXT), details), owner = NULL,
    cancel = 0, handed = 0, nonce = random(), limit_key = n.v->>14, priority = n.v->>15, fair_key = n.v->>16,
    weight = n.v->>17
FROM n WHERE task.rowid = n.id",
    concat!(
        "
WITH n AS MATERIALIZED (SELECT value AS v FROM json_each($13))
INSERT INTO task (execution, activity, attempt, queue, name, input, limits, run_at, start_by, close_by, details, nonce,
    limit_key, priority, fair_key, weight)
SELECT v->>0, v->>1, v->>2, v->>3, v->>4, CAST(substr($2, v->>5, v->>6) AS TEXT), v->>7, v->>8, v->>9, v->>10,
    CAST(substr($2, v->>11, v->>12) AS TEXT), random(), v->>14, v->>15, v->>16, v->>17
FROM n WHERE v->>13 = 0 AND ",
        sender_is_in!("v->>0")
    ),
];
