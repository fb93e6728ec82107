//! Claims of runs that end without code (PROTOCOL 40): see `postgres/ends.rs`.

use super::claim::fence;
use super::store::SqliteStore;
use crate::store::{ClaimedEnds, StoreError, Trouble};
use abide_core::{ExecutionId, Incarnation};
use sqlx::{SqliteConnection, SqlitePool};

/// `$1` now, `$2` limit. Each arm reads an index.
pub(super) const ENDING: &str = "
SELECT id FROM (
    SELECT id, close_by AS due FROM execution
    WHERE close_by IS NOT NULL AND close_by <= $1 AND status < 10 AND owner IS NULL
    UNION ALL
    SELECT e.id, i.at FROM inbox i INDEXED BY inbox_terminate CROSS JOIN execution e ON e.id = i.execution
    WHERE i.kind = 8 AND e.owner IS NULL AND e.status < 10
) GROUP BY id ORDER BY min(due), id LIMIT $2";

/// When the time of the next one is up.
pub(super) const NEXT_END: &str = "
SELECT min(close_by) FROM execution WHERE close_by IS NOT NULL AND status < 10 AND owner IS NULL";

const TAKE: &str = "
UPDATE execution SET owner = $2, rev = rev + 1
WHERE id IN (SELECT value FROM json_each($1)) AND owner IS NULL";

impl SqliteStore {
    /// Looks first, so that a claim that finds nothing does not ask for the write lock.
    pub(super) async fn end_claim(&self, owner: Incarnation, limit: u32) -> Result<ClaimedEnds, StoreError> {
        let now = self.shared.clock.now_ms();
        let looked = self.reading(async move |readers| look(readers, now, limit).await).await?;
        let (found, next_due_ms) = looked;
        if found.is_empty() {
            return Ok(ClaimedEnds { runs: Vec::new(), next_due_ms });
        }
        let runs = self.call(move |connection| Box::pin(take(connection, owner, now, limit))).await?;
        Ok(ClaimedEnds { runs, next_due_ms })
    }
}

async fn look(readers: &SqlitePool, now: i64, limit: u32) -> sqlx::Result<(Vec<i64>, Option<i64>)> {
    let found = sqlx::query_scalar(ENDING).bind(now).bind(limit).fetch_all(readers).await?;
    Ok((found, sqlx::query_scalar(NEXT_END).fetch_one(readers).await?))
}

async fn take(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    now: i64,
    limit: u32,
) -> Result<Vec<ExecutionId>, Trouble> {
    fence(connection, owner).await?;
    let ending = sqlx::query_scalar(ENDING).bind(now).bind(limit);
    let ids: Vec<i64> = ending.fetch_all(&mut *connection).await?;
    let list = serde_json::to_string(&ids).expect("numbers are JSON");
    sqlx::query(TAKE).bind(list).bind(owner.0).execute(connection).await?;
    Ok(ids.into_iter().map(ExecutionId).collect())
}
