//! The SQLite store: one file, one writing connection on a thread of its own, a few that read.
//!
//! Reading order: [`schema`] and [`migrate`], [`place`] and [`open`], [`job`], [`writer`], [`batch`] and [`sql`] (the
//! hot path), [`commit`] (what to do when a batch fails), [`failure`] (SQLite's errors), then what clients and workers
//! call: [`start`], [`message`], [`read`], [`lease`], [`claim`], [`task`]. Must never write on any connection but the writer's,
//! save in a transaction of the user's: [`transaction`] (an attempt's) and [`within`] (a client's).

mod attempt;
mod batch;
mod claim;
mod commit;
mod failure;
mod job;
mod lease;
mod message;
mod migrate;
mod open;
mod place;
mod read;
mod schema;
mod shared;
mod sql;
mod start;
mod task;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests;
mod transaction;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod transaction_tests;
mod within;
mod writer;

use job::{Call, Item, Queued, Work};
pub(crate) use open::{OpenOptions, open};
use shared::Shared;

use super::{
    Ack, Append, AttemptTransaction, Claim, Claimed, ClaimedTasks, Deaths, ExecutionRow, Filter, Find,
    INSIDE, InboxRow, Metrics, NewExecution, NewMessage, OwnedTask, Page, Reply, ResumeAnswer, SendAnswer,
    StartAnswer, Store, StoreError, StoreFuture, StoredRun, StoredTurn, TaskClaim, TaskKey, UserConnection,
    WorkerInfo,
};
use abide_core::{Database, ExecutionId, Incarnation};
use sqlx::{SqliteConnection, SqlitePool};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// One open SQLite database.
pub(crate) struct SqliteStore {
    shared: Arc<Shared>,
    readers: SqlitePool,
    /// The connections of attempts whose SQL commits with their results.
    attempts: SqlitePool,
}

impl SqliteStore {
    /// Has the writer do some work in a transaction, and waits for the commit.
    async fn call<F, T>(&self, work: F) -> Result<T, StoreError>
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

    /// Tells the workers of this process, too, that there is something to look at.
    fn told<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if answer.is_ok() {
            self.shared.tick();
        }
        answer
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Store for SqliteStore {
    fn submit(&self, append: Append, ack: Ack) {
        self.shared.queue.append(append, ack);
    }

    fn execution_id(&self) -> ExecutionId {
        self.shared.execution_id()
    }

    fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer> {
        Box::pin(async move {
            let started = self.call(move |c| Box::pin(async move { Ok(start::start(c, &new).await?) }));
            self.told(started.await)
        })
    }

    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer> {
        Box::pin(async move {
            let sent = self.call(move |c| Box::pin(async move { Ok(message::send(c, &message).await?) }));
            self.told(sent.await)
        })
    }

    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer> {
        let now = self.now_ms();
        Box::pin(async move {
            let ended = self.call(move |c| {
                Box::pin(async move { Ok(start::terminate(c, execution, &request_id, &event, now).await?) })
            });
            self.told(ended.await)
        })
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        let now = self.now_ms();
        Box::pin(async move {
            let resumed =
                self.call(move |c| Box::pin(async move { Ok(start::resume(c, execution, now).await?) }));
            self.told(resumed.await)
        })
    }

    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()> {
        let now = self.now_ms();
        Box::pin(self.call(move |c| Box::pin(async move { Ok(message::put_reply(c, &reply, now).await?) })))
    }

    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        Box::pin(async move {
            if !self.has_reply(&request_id).await? {
                return Ok(None);
            }
            self.call(move |c| Box::pin(async move { Ok(message::take_reply(c, &request_id).await?) })).await
        })
    }

    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(self.read_execution(by))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        Box::pin(self.read_list(filter))
    }

    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>> {
        Box::pin(self.read_journal(execution))
    }

    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(self.read_inbox(owner))
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>> {
        Box::pin(self.read_run(execution))
    }

    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(self.read_open_queries(queues, types))
    }

    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()> {
        Box::pin(self.call(move |c| Box::pin(async move { Ok(message::drop_rows(c, &ids).await?) })))
    }

    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>> {
        Box::pin(self.read_owned(owner))
    }

    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>> {
        Box::pin(self.read_served(queue))
    }

    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation> {
        Box::pin(self.register_worker(info))
    }

    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(self.renew_lease(owner))
    }

    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let left = self.unregister_worker(owner).await;
            self.told(left)
        })
    }

    fn dead(&self) -> StoreFuture<'_, Deaths> {
        Box::pin(self.dead_workers())
    }

    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64> {
        Box::pin(self.take_over_from(dead))
    }

    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed> {
        let now = self.now_ms();
        Box::pin(self.call(move |c| Box::pin(claim::claim(c, claim, now))))
    }

    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks> {
        Box::pin(self.take_tasks(claim))
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        let now = self.now_ms();
        Box::pin(async move {
            let ended =
                self.call(move |c| Box::pin(async move { task::finish(c, owner, key, &body, now).await }));
            self.told(ended.await)
        })
    }

    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()> {
        let now = self.now_ms();
        Box::pin(async move {
            let given =
                self.call(move |c| Box::pin(async move { task::release(c, owner, &keys, now).await }));
            self.told(given.await)
        })
    }

    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>> {
        Box::pin(self.read_owned_tasks(owner))
    }

    fn expire_tasks(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.end_late_tasks())
    }

    fn begin_attempt(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        Box::pin(self.begin(owner, key))
    }

    fn database(&self) -> Database {
        Database::Sqlite
    }

    fn outside(&self) -> Result<(), StoreError> {
        match INSIDE.try_with(|held| held.as_deref() == Some(&*self.shared.path)) {
            Ok(true) => Err(StoreError::InsideTransaction),
            _ => Ok(()),
        }
    }

    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> StoreFuture<'a, StartAnswer> {
        Box::pin(self.start_on(connection, new))
    }

    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> StoreFuture<'a, SendAnswer> {
        Box::pin(self.send_on(connection, message))
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
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
