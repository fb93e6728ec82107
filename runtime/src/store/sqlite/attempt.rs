//! Failed attempts that will be retried (PROTOCOL 4): the section of a batch that keeps them, and how they are read.

/// The batch's section. `$14`: execution and activity of the rows to delete; `$15`: execution, activity,
/// attempt, when the next attempt is due, and where in the blob the failure is.
pub(super) const CHANGES: [&str; 2] = [
    "
DELETE FROM attempt WHERE rowid IN (
    SELECT a.rowid FROM json_each($14) x
    CROSS JOIN attempt a ON a.execution = x.value->>0 AND a.activity = x.value->>1)",
    "
WITH k AS MATERIALIZED (SELECT value AS v FROM json_each($15))
INSERT INTO attempt (execution, activity, attempt, next_at, failure)
SELECT v->>0, v->>1, v->>2, v->>3, CAST(substr($2, v->>4, v->>5) AS TEXT) FROM k WHERE true
ON CONFLICT (execution, activity) DO UPDATE SET
    attempt = excluded.attempt, next_at = excluded.next_at, failure = excluded.failure",
];

/// Closed executions have none. `$8`: executions.
pub(super) const DELETE_OF_CLOSED: &str = "
DELETE FROM attempt WHERE execution IN (SELECT value->>0 FROM json_each($8))";

pub(super) const READ: &str =
    "SELECT activity, attempt, next_at, failure FROM attempt WHERE execution = ? ORDER BY activity";
