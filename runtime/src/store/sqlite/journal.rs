//! Turns are queued for the writer, and read on the pool of readers, which sees every acknowledged commit.
//!
//! No read transaction outlives its call, because the WAL would grow (PROTOCOL 27).

use super::attempt;
use super::store::SqliteStore;
use crate::store::row::{self, all, execution_columns};
use crate::store::{Ack, Append, Journal, StoreError, StoreFuture, StoredRun, StoredTurn, joined};
use abide_core::ExecutionId;
use sqlx::Connection;

const ROW: &str = concat!("SELECT ", execution_columns!(""), " FROM execution e WHERE e.id = ?");
const JOURNAL: &str = "SELECT seq, n, at, writer, body FROM journal WHERE execution = ? ORDER BY seq";
const INBOX: &str =
    "SELECT id, execution, kind, request_id, body, at FROM inbox WHERE execution = ? ORDER BY id";
const BEATS: &str = "SELECT activity, details, beat_at FROM task WHERE execution = ? AND details IS NOT NULL
    ORDER BY activity";

impl Journal for SqliteStore {
    fn submit(&self, append: Append, ack: Ack) {
        self.shared.queue.append(append, ack);
    }

    fn execution_id(&self) -> ExecutionId {
        self.shared.execution_id()
    }

    fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>> {
        Box::pin(async move {
            let turns = self.reading(async move |readers| {
                all(&sqlx::query(JOURNAL).bind(execution.0).fetch_all(readers).await?, row::turn)
            });
            joined(turns.await?).map_err(|message| StoreError::Damaged { execution, message })
        })
    }

    /// One read transaction, so one snapshot (PROTOCOL 34).
    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>> {
        Box::pin(self.reading(async move |readers| {
            let mut connection = readers.acquire().await?;
            let mut snapshot = connection.begin().await?;
            let found = sqlx::query(ROW).bind(execution.0).fetch_optional(&mut *snapshot).await?;
            let Some(row) = found.as_ref().map(row::execution).transpose()? else { return Ok(None) };
            let turns = sqlx::query(JOURNAL).bind(execution.0).fetch_all(&mut *snapshot).await?;
            let attempts = sqlx::query(attempt::READ).bind(execution.0).fetch_all(&mut *snapshot).await?;
            let inbox = sqlx::query(INBOX).bind(execution.0).fetch_all(&mut *snapshot).await?;
            let beats = sqlx::query(BEATS).bind(execution.0).fetch_all(&mut *snapshot).await?;
            snapshot.commit().await?;
            Ok(Some(StoredRun {
                row,
                journal: joined(all(&turns, row::turn)?),
                attempts: all(&attempts, row::attempt)?,
                inbox: all(&inbox, row::message)?,
                beats: all(&beats, row::beat)?,
            }))
        }))
    }
}
