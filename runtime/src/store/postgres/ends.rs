//! Claims of runs that end without code: terminated by a message, or out of time (PROTOCOL 40).
//!
//! Of any task queue, type and open status. A row that another session has locked is passed over: it is looked
//! at again with the next claim.

use super::shared::Shared;
use crate::store::{ClaimedEnds, Trouble};
use abide_core::{ExecutionId, Incarnation};
use sqlx::PgConnection;

/// `$1` worker, `$2` now, `$3` limit. The fence is asked for last, and only tried, as in a claim. Nothing but the
/// owner changes: a claimant that dies must leave a suspended run suspended.
pub(super) const CLAIM_ENDS: &str = "WITH late AS MATERIALIZED (
    SELECT id, close_by AS due FROM {s}.execution
    WHERE close_by IS NOT NULL AND close_by <= $2 AND status < 10 AND owner IS NULL
    ORDER BY close_by LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED),
told AS MATERIALIZED (
    SELECT e.id, i.at AS due FROM {s}.inbox i CROSS JOIN LATERAL (
        SELECT e.id FROM {s}.execution e
        WHERE e.id = i.execution AND e.owner IS NULL AND e.status < 10
        FOR NO KEY UPDATE SKIP LOCKED) e
    WHERE i.kind = 8 LIMIT $3),
chosen AS MATERIALIZED (
    SELECT id FROM (SELECT * FROM late UNION ALL SELECT * FROM told) a
    GROUP BY id ORDER BY min(due), id LIMIT $3),
fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 AND EXISTS (SELECT FROM chosen)
    FOR KEY SHARE SKIP LOCKED),
taken AS (
    UPDATE {s}.execution e SET owner = $1, rev = e.rev + 1
    FROM chosen, fence WHERE e.id = chosen.id AND e.owner IS NULL
    RETURNING e.id)
SELECT id FROM taken ORDER BY id";

/// When the time of the next one is up.
pub(super) const NEXT_END: &str = "SELECT (SELECT close_by FROM {s}.execution
    WHERE close_by IS NOT NULL AND status < 10 AND owner IS NULL ORDER BY close_by LIMIT 1)";

/// Takes what can be taken now.
pub(super) async fn claim_ends(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    (now, limit): (i64, u32),
) -> Result<ClaimedEnds, Trouble> {
    let taken = sqlx::query_scalar::<_, i64>(shared.sql.of(CLAIM_ENDS)).bind(owner.0).bind(now);
    let taken = taken.bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    let runs: Vec<ExecutionId> = taken.into_iter().map(ExecutionId).collect();
    match sqlx::query_scalar(shared.sql.of(NEXT_END)).fetch_one(connection).await {
        Ok(next_due_ms) => Ok(ClaimedEnds { runs, next_due_ms }),
        // These runs are claimed already: return them despite the error.
        Err(_) if !runs.is_empty() => Ok(ClaimedEnds { runs, next_due_ms: None }),
        Err(error) => Err(error.into()),
    }
}
