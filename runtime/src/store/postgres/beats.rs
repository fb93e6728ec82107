//! Heartbeats of attempts, written many at once (PROTOCOL 74).

use super::held::fenced;
use super::rows::{number, signed};
use super::shared::Shared;
use crate::store::{Beat, Beaten, Trouble};
use abide_core::Incarnation;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// `$1` worker, `$2` executions, `$3` activities, `$4` attempts, `$5` nonces, `$6` details, `$7` times. A row of the
/// execution's owner has no nonce to compare, and no task queue. It waits for no row (PROTOCOL 74). A heartbeat that is
/// older than what the row has is a copy that was late, unless the row's time is still to come: the clock went back.
pub(super) const BEAT: &str = "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE),
mine AS MATERIALIZED (
    SELECT t.execution, t.activity, t.cancel, b.place, b.details, b.at
    FROM {s}.task t JOIN unnest($2::bigint[], $3::bigint[], $4::integer[], $5::bigint[], $6::text[], $7::bigint[])
        WITH ORDINALITY AS b(execution, activity, attempt, nonce, details, at, place)
        ON t.execution = b.execution AND t.activity = b.activity AND t.attempt = b.attempt
    WHERE EXISTS (SELECT FROM fence)
        AND (t.owner = $1 AND t.nonce = b.nonce OR t.queue IS NULL AND b.nonce = 0)
    ORDER BY t.execution, t.activity FOR NO KEY UPDATE OF t SKIP LOCKED),
beaten AS (
    UPDATE {s}.task t SET details = m.details, beat_at = m.at FROM mine m
    WHERE t.execution = m.execution AND t.activity = m.activity
        AND (t.beat_at IS NULL OR t.beat_at <= m.at OR t.beat_at > {now}))
SELECT place, cancel FROM mine";

/// Which of these rows are there, locked or not: the parameters of [`BEAT`] up to the nonces.
pub(super) const THERE: &str = "SELECT b.place
FROM {s}.task t JOIN unnest($2::bigint[], $3::bigint[], $4::integer[], $5::bigint[])
    WITH ORDINALITY AS b(execution, activity, attempt, nonce, place)
    ON t.execution = b.execution AND t.activity = b.activity AND t.attempt = b.attempt
WHERE t.owner = $1 AND t.nonce = b.nonce OR t.queue IS NULL AND b.nonce = 0";

/// The places of a list, from 1, as an index.
fn place(row: &PgRow) -> sqlx::Result<usize> {
    Ok(usize::try_from(row.try_get::<i64, _>(0)? - 1).unwrap_or(usize::MAX))
}

/// Notes heartbeats. What it does not return is looked at once more, without a lock: is it locked, or gone?
pub(super) async fn beat(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    beats: &[Beat],
) -> Result<Vec<Beaten>, Trouble> {
    let keys = || {
        let executions: Vec<i64> = beats.iter().map(|beat| beat.key.execution.0).collect();
        let activities: Vec<i64> = beats.iter().map(|beat| number(beat.key.activity)).collect();
        let attempts: Vec<i32> = beats.iter().map(|beat| signed(beat.key.attempt)).collect();
        let nonces: Vec<i64> = beats.iter().map(|beat| beat.key.nonce).collect();
        (executions, activities, attempts, nonces)
    };
    let (executions, activities, attempts, nonces) = keys();
    let details: Vec<&str> = beats.iter().map(|beat| beat.details.as_str()).collect();
    let times: Vec<i64> = beats.iter().map(|beat| beat.at_ms).collect();
    let query = sqlx::query(shared.sql.of(BEAT)).bind(owner.0).bind(executions).bind(activities);
    let query = query.bind(attempts).bind(nonces).bind(details).bind(times);
    let mut answers = vec![Beaten::Gone; beats.len()];
    let kept = query.fetch_all(&mut *connection).await?;
    for row in &kept {
        if let Some(answer) = answers.get_mut(place(row)?) {
            *answer = Beaten::Kept { cancel: row.try_get(1)? };
        }
    }
    fenced(connection, shared, owner, kept.is_empty()).await?;
    if kept.len() < beats.len() {
        let (executions, activities, attempts, nonces) = keys();
        let query = sqlx::query(shared.sql.of(THERE)).bind(owner.0).bind(executions).bind(activities);
        for row in query.bind(attempts).bind(nonces).fetch_all(connection).await? {
            if let Some(answer @ Beaten::Gone) = answers.get_mut(place(&row)?) {
                *answer = Beaten::Locked;
            }
        }
    }
    Ok(answers)
}
