//! Heartbeats of attempts, written many at once (PROTOCOL 74).

use super::claim::fence;
use crate::store::{Beat, Beaten, TaskKey, Trouble};
use abide_core::Incarnation;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// `$1` worker, `$2` heartbeats: execution, activity, attempt, nonce, details, time; `$3` now. A row of the execution's
/// owner has no nonce to compare, and no task queue. A heartbeat that is older than what the row has is a copy that was
/// late, unless the row's time is still to come: the clock went back.
pub(super) const BEAT: &str = "
WITH b AS MATERIALIZED (
    SELECT t.rowid AS id, x.value->>4 AS details, x.value->>5 AS at
    FROM json_each($2) x CROSS JOIN task t ON t.execution = x.value->>0 AND t.activity = x.value->>1
    WHERE t.attempt = x.value->>2
        AND (t.owner = $1 AND t.nonce = x.value->>3 OR t.queue IS NULL AND x.value->>3 = 0))
UPDATE task SET
    details = CASE WHEN beat_at > b.at AND beat_at <= $3 THEN task.details ELSE b.details END,
    beat_at = CASE WHEN beat_at > b.at AND beat_at <= $3 THEN beat_at ELSE b.at END
FROM b WHERE task.rowid = b.id
RETURNING execution, activity, attempt, nonce, cancel, queue";

/// Notes heartbeats. No row is locked: what it does not return is gone.
pub(super) async fn beat(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    beats: &[Beat],
    now: i64,
) -> Result<Vec<Beaten>, Trouble> {
    fence(connection, owner).await?;
    let name =
        |key: &TaskKey| (key.execution.0, key.activity.0.cast_signed(), i64::from(key.attempt), key.nonce);
    let listed = beats.iter().map(|Beat { key, details, at_ms }| {
        let (execution, activity, attempt, nonce) = name(key);
        (execution, activity, attempt, nonce, details, at_ms)
    });
    let listed = serde_json::to_string(&listed.collect::<Vec<_>>()).unwrap_or_default();
    let kept = sqlx::query(BEAT).bind(owner.0).bind(listed).bind(now).fetch_all(connection).await?;
    let row = |row: &SqliteRow| {
        // In SQL, SQLite 3.40 takes `queue IS NULL` for false here.
        let is_own = row.try_get::<Option<String>, _>(5)?.is_none();
        let nonce = if is_own { 0 } else { row.try_get(3)? };
        Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, nonce), row.try_get(4)?))
    };
    let kept = kept.iter().map(row).collect::<sqlx::Result<HashMap<(i64, i64, i64, i64), bool>>>()?;
    let answer = |beat: &Beat| match kept.get(&name(&beat.key)) {
        Some(cancel) => Beaten::Kept { cancel: *cancel },
        None => Beaten::Gone,
    };
    Ok(beats.iter().map(answer).collect())
}
