//! Calls of clients and workers: reads on the pool, writes as jobs of the writer.

use super::failure::store_error;
use super::job::{Call, Item, Queued, Work};
use super::store::SqliteStore;
use crate::store::{Store, StoreError};
use sqlx::{SqliteConnection, SqlitePool};
use std::time::Instant;
use tokio::sync::oneshot;

impl SqliteStore {
    /// Has the writer do some work in a transaction, and waits for the commit.
    pub(super) async fn call<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        self.outside()?;
        let (reply, answer) = oneshot::channel();
        let job =
            Queued { job: Box::new(Call { work: Some(work), value: None, reply }), since: Instant::now() };
        if let Err(refused) = self.shared.queue.job(Item::Call(job)) {
            refused.refuse(StoreError::Closed);
        }
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// The same, and tells the workers of this process, too, that there is something to look at.
    pub(super) async fn telling<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        let answer = self.call(work).await;
        if answer.is_ok() {
            self.shared.tick();
        }
        answer
    }

    /// Reads, on a connection of the pool.
    pub(super) async fn reading<T>(
        &self,
        read: impl AsyncFnOnce(&SqlitePool) -> sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        read(&self.readers).await.map_err(|error| self.read_error(error))
    }

    /// A reader's error. The pool's own timeout means that all readers were busy.
    fn read_error(&self, error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolTimedOut => StoreError::Busy {
                path: self.shared.path.display().to_string(),
                waited: self.shared.options.busy_timeout,
            },
            sqlx::Error::PoolClosed => StoreError::Closed,
            error => store_error(&self.shared.path, error, self.shared.options.busy_timeout),
        }
    }
}
