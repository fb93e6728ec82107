//! The store's handle.

use super::shared::Shared;
use crate::store::{INSIDE, Metrics, Store, StoreError, StoreFuture};
use abide_core::Database;
use sqlx::SqlitePool;
use std::sync::Arc;
use tokio::sync::watch;

/// One open SQLite database.
pub(crate) struct SqliteStore {
    pub(super) shared: Arc<Shared>,
    pub(super) readers: SqlitePool,
    /// The connections of attempts whose SQL commits with their results.
    pub(super) attempts: SqlitePool,
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Store for SqliteStore {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    fn outside(&self) -> Result<(), StoreError> {
        match INSIDE.try_with(|held| held.as_deref() == Some(&*self.shared.path)) {
            Ok(true) => Err(StoreError::InsideTransaction),
            _ => Ok(()),
        }
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn block(&self) -> i64 {
        self.shared.block
    }

    fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.readers.close().await;
            self.attempts.close().await;
            self.shared.queue.close();
            let mut closed = self.shared.closed.subscribe();
            // An error means that the writer is gone, which is what is waited for.
            drop(closed.wait_for(|closed| *closed).await);
            Ok(())
        })
    }
}
