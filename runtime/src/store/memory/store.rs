//! The store's handle.

use super::shared::Shared;
use crate::store::{Metrics, Store, StoreFuture};
use abide_core::Database;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::watch;

/// One process's connection to a database in memory.
pub(crate) struct MemoryStore {
    pub(super) shared: Arc<Shared>,
}

impl MemoryStore {
    /// Which process it is, as [`Call::process`] and [`Server::kill`] name it.
    pub(crate) fn process(&self) -> u32 {
        self.shared.process
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.shared.queue.close();
        self.shared.wake.notify_one();
        self.shared.server.let_go(self.shared.process, None);
    }
}

impl Store for MemoryStore {
    fn database(&self) -> Database {
        Database::Memory
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.shared.news()
    }

    fn block(&self) -> i64 {
        i64::from(self.shared.process)
    }

    fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.shared.queue.close();
            self.shared.wake.notify_one();
            loop {
                let ended = self.shared.end.notified();
                if self.shared.ended.load(Ordering::Acquire) {
                    break;
                }
                ended.await;
            }
            self.shared.server.let_go(self.shared.process, None);
            Ok(())
        })
    }
}
