//! Attempts that the holder of a token ends, not a worker (PROTOCOL 77).

use super::rows::{number, signed};
use super::shared::Shared;
use super::store::PostgresStore;
use crate::store::decide::{Concerned, Notify, attempt_id, parking_statuses};
use crate::store::handed::{HandOut, Handed, TokenBeat};
use crate::store::{StoreError, StoreFuture, TaskKey, Trouble};
use abide_core::Incarnation;
use sqlx::{PgConnection, Row};

/// `$1` worker, `$2` execution, `$3` activity, `$4` attempt, `$5` nonce, `$6` and `$7` ms from now, `$8` details.
pub(super) const HAND_OUT: &str = "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE),
handed AS (
    UPDATE {s}.task t SET owner = NULL, handed = true, start_by = NULL, end_by = {now} + $6, beat_by = {now} + $7,
        beat_at = CASE WHEN $7::bigint IS NULL THEN t.beat_at ELSE {now} END,
        details = coalesce($8, t.details)
    FROM fence
    WHERE t.execution = $2 AND t.activity = $3 AND t.attempt = $4 AND t.nonce = $5 AND t.owner = fence.worker
    RETURNING t.execution)
SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM handed)";

/// `$1` execution, `$2` activity, `$3` attempt, `$4` nonce, `$5` body. The execution first, then the token, as in
/// the end by a worker. No fence: the nonce alone decides.
pub(super) const END: &str = concat!(
    "WITH receiver AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id = $1 AND status < 10 FOR KEY SHARE),
token AS (
    DELETE FROM {s}.task t USING receiver r
    WHERE t.execution = r.id AND t.activity = $2 AND t.attempt = $3 AND t.nonce = $4
        AND (t.owner IS NOT NULL OR t.handed)
    RETURNING t.execution, t.owner, t.details, CASE WHEN t.limit_key <> '' THEN t.queue END AS freed),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT r.id, 4, ",
    attempt_id!("$2", "$3"),
    ", CASE WHEN token.details IS NULL THEN $5 ELSE left($5, -1) || ',\"details\":' || token.details || '}' END,
        {now}, r.status ",
    parking_statuses!(),
    " FROM receiver r JOIN token ON token.execution = r.id
    ON CONFLICT DO NOTHING)
SELECT r.owner, r.queue, token.owner, token.freed FROM token JOIN receiver r ON r.id = token.execution"
);

/// `$1` execution, `$2` activity, `$3` attempt, `$4` nonce, `$5` details. The time between two heartbeats is that
/// between
/// `beat_at` and `beat_by`. Before the attempt is handed out it has no `beat_by`.
pub(super) const BEAT: &str =
    "UPDATE {s}.task SET details = $5, beat_by = {now} + (beat_by - beat_at), beat_at = {now}
    WHERE execution = $1 AND activity = $2 AND attempt = $3 AND nonce = $4 AND (owner IS NOT NULL OR handed)
    RETURNING cancel";

/// Leaves the end to the token's holder. False: the attempt was decided otherwise.
pub(super) async fn hand_out(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    HandOut { key, end_in_ms, beat_in_ms, details }: HandOut,
) -> Result<bool, Trouble> {
    let row = sqlx::query(shared.sql.of(HAND_OUT))
        .bind(owner.0)
        .bind(key.execution.0)
        .bind(number(key.activity))
        .bind(signed(key.attempt))
        .bind(key.nonce)
        .bind(end_in_ms)
        .bind(beat_in_ms)
        .bind(details)
        .fetch_one(connection)
        .await?;
    match (row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?) {
        (0, _) => Err(Trouble::Refused(StoreError::Fenced)),
        (_, handed) => Ok(handed > 0),
    }
}

/// Ends an attempt: whom that concerns, or `None` where it was decided otherwise.
pub(super) async fn end(
    connection: &mut PgConnection,
    shared: &Shared,
    key: TaskKey,
    body: &str,
) -> Result<Option<Concerned>, Trouble> {
    let row = sqlx::query(shared.sql.of(END))
        .bind(key.execution.0)
        .bind(number(key.activity))
        .bind(signed(key.attempt))
        .bind(key.nonce)
        .bind(body)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let (owner, runner): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(2)?);
    let mut concerned = Concerned::default();
    concerned.add(owner.map(Incarnation), row.try_get(1)?);
    concerned.add(runner.map(Incarnation), None);
    concerned.add(None, row.try_get(3)?);
    Ok(Some(concerned))
}

impl Handed for PostgresStore {
    fn hand_out(&self, owner: Incarnation, out: HandOut) -> StoreFuture<'_, bool> {
        Box::pin(self.once(move |shared, connection| {
            let out = out.clone();
            Box::pin(async move { hand_out(connection, shared, owner, out).await })
        }))
    }

    fn end_by_token(&self, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = self.once(move |shared, connection| {
                let body = body.clone();
                Box::pin(async move { end(connection, shared, key, &body).await })
            });
            let ended = ended.await?;
            ended.iter().for_each(|concerned| self.shared.notify_concerned(concerned));
            Ok(ended.is_some())
        })
    }

    fn beat_by_token(&self, key: TaskKey, details: String) -> StoreFuture<'_, TokenBeat> {
        Box::pin(self.once(move |shared, connection| {
            let query = sqlx::query_scalar::<_, bool>(shared.sql.of(BEAT)).bind(key.execution.0);
            let query = query.bind(number(key.activity)).bind(signed(key.attempt)).bind(key.nonce);
            let query = query.bind(details.clone());
            Box::pin(async move {
                Ok(match query.fetch_optional(connection).await? {
                    Some(true) => TokenBeat::Cancelled,
                    Some(false) => TokenBeat::Kept,
                    None => TokenBeat::Void,
                })
            })
        }))
    }
}
