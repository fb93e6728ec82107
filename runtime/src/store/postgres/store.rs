//! The store's handle.

use super::process::Here;
use super::shared::{SLOTS, Shared};
use crate::store::{Metrics, Store, StoreFuture};
use abide_core::Database;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::watch;

/// One open Postgres database.
pub(crate) struct PostgresStore {
    pub(super) shared: Arc<Shared>,
    /// For what clients and workers ask.
    pub(super) calls: PgPool,
    /// For transactional activities, which hold theirs for as long as they run.
    pub(super) transactions: PgPool,
    /// The store's thread.
    pub(super) runtime: tokio::runtime::Handle,
    /// This process, for those who would know whether it lives, and to judge others by.
    pub(super) here: Option<Here>,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Store for PostgresStore {
    fn database(&self) -> Database {
        Database::Postgres
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.shared.news.subscribe()
    }

    fn block(&self) -> i64 {
        self.shared.block
    }

    fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.shared.close();
            let mut ended = self.shared.ended.subscribe();
            // An error means that the writers are gone, which is what is waited for.
            drop(ended.wait_for(|ended| *ended == SLOTS).await);
            drop(self.shared.put_off.subscribe().wait_for(|put_off| *put_off == 0).await);
            self.calls.close().await;
            self.transactions.close().await;
            Ok(())
        })
    }
}
