//! Attempts that the holder of a token ends, not a worker (PROTOCOL 77).

use super::claim::fence;
use super::store::SqliteStore;
use super::task::OUTCOME;
use crate::store::decide::attempt_request_id;
use crate::store::handed::{HandOut, Handed, TokenBeat, with_details};
use crate::store::{MessageKind, StoreFuture, TaskKey, Trouble};
use abide_core::Incarnation;
use sqlx::SqliteConnection;

const HAND_OUT: &str = "
UPDATE task SET owner = NULL, handed = 1, start_by = NULL, end_by = $6 + $7, beat_by = $6 + $8,
    beat_at = CASE WHEN $8 IS NULL THEN beat_at ELSE $6 END, details = coalesce($9, details)
WHERE execution = $1 AND activity = $2 AND attempt = $3 AND nonce = $4 AND owner = $5";

const END: &str = "
DELETE FROM task WHERE execution = $1 AND activity = $2 AND attempt = $3 AND nonce = $4
    AND (owner IS NOT NULL OR handed)
RETURNING details";

/// The time between two heartbeats is that between `beat_at` and `beat_by`. Before the attempt is handed out it has no
/// `beat_by`.
const BEAT: &str = "
UPDATE task SET details = $5, beat_by = $6 + (beat_by - beat_at), beat_at = $6
WHERE execution = $1 AND activity = $2 AND attempt = $3 AND nonce = $4 AND (owner IS NOT NULL OR handed)
RETURNING cancel";

async fn hand_out(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    HandOut { key, end_in_ms, beat_in_ms, details }: HandOut,
    now: i64,
) -> Result<bool, Trouble> {
    fence(connection, owner).await?;
    let handed = sqlx::query(HAND_OUT)
        .bind(key.execution.0)
        .bind(key.activity.0.cast_signed())
        .bind(key.attempt)
        .bind(key.nonce)
        .bind(owner.0)
        .bind(now)
        .bind(end_in_ms)
        .bind(beat_in_ms)
        .bind(details);
    Ok(handed.execute(connection).await?.rows_affected() > 0)
}

async fn end(
    connection: &mut SqliteConnection,
    of: TaskKey,
    body: String,
    now: i64,
) -> Result<bool, Trouble> {
    let token = sqlx::query_scalar::<_, Option<String>>(END).bind(of.execution.0);
    let token = token.bind(of.activity.0.cast_signed()).bind(of.attempt).bind(of.nonce);
    let Some(details) = token.fetch_optional(&mut *connection).await? else { return Ok(false) };
    sqlx::query(OUTCOME)
        .bind(of.execution.0)
        .bind(MessageKind::Attempt.code())
        .bind(attempt_request_id(of.activity, of.attempt))
        .bind(with_details(body, details.as_deref()))
        .bind(now)
        .execute(connection)
        .await?;
    Ok(true)
}

async fn beat(
    connection: &mut SqliteConnection,
    of: TaskKey,
    details: String,
    now: i64,
) -> Result<TokenBeat, Trouble> {
    let beat = sqlx::query_scalar::<_, bool>(BEAT).bind(of.execution.0).bind(of.activity.0.cast_signed());
    let beat = beat.bind(of.attempt).bind(of.nonce).bind(details).bind(now);
    Ok(match beat.fetch_optional(connection).await? {
        Some(true) => TokenBeat::Cancelled,
        Some(false) => TokenBeat::Kept,
        None => TokenBeat::Void,
    })
}

impl Handed for SqliteStore {
    fn hand_out(&self, owner: Incarnation, out: HandOut) -> StoreFuture<'_, bool> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |connection| Box::pin(hand_out(connection, owner, out, now))))
    }

    fn end_by_token(&self, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.telling(move |connection| Box::pin(end(connection, key, body, now))))
    }

    fn beat_by_token(&self, key: TaskKey, details: String) -> StoreFuture<'_, TokenBeat> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |connection| Box::pin(beat(connection, key, details, now))))
    }
}
