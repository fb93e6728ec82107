//! The Postgres store: any number of processes on one database (DESIGN §5).
//!
//! Reading order: [`schema`] and [`migrate`], [`open`], [`sql`], then the hot path: [`writer`], [`guard`], [`batch`], [`rows`], [`tokens`] and [`attempt`];
//! [`failure`] (Postgres's errors), [`control`] and [`shared`] (leases renewed, others notified), [`call`] (how clients and workers
//! ask), and what they ask: [`start`], [`message`], [`read`], [`lease`], [`claim`], [`task`], [`transaction`]. Each statement keeps the rules
//! of docs/protocol.md by itself; `permutations` tries them against each other.

mod alone;
mod attempt;
mod batch;
mod call;
mod claim;
mod control;
mod failure;
mod guard;
mod keys;
mod lease;
#[cfg(test)]
mod lock_tests;
mod message;
mod migrate;
mod notification;
mod open;
#[cfg(test)]
pub(crate) mod permutations;
mod process;
mod read;
mod rows;
mod schema;
mod shared;
mod sql;
mod start;
mod task;
#[cfg(test)]
mod tests;
mod timeout;
mod tokens;
mod transaction;
mod writer;

pub(crate) use open::{OpenOptions, open, pending_migrations};
use shared::Shared;

use super::decide::Notify;
use super::{
    Ack, Append, AttemptTransaction, Claim, Claimed, ClaimedTasks, Deaths, ExecutionRow, Filter, Find,
    InboxRow, Metrics, NewExecution, NewMessage, OwnedTask, Page, Reply, ResumeAnswer, SendAnswer,
    StartAnswer, Store, StoreFuture, StoredRun, StoredTurn, TaskClaim, TaskKey, UserConnection, WorkerInfo,
};
use abide_core::{Database, ExecutionId, Incarnation};
use sqlx::PgPool;
use std::sync::Arc;
use tokio::sync::watch;

/// One open Postgres database.
pub(crate) struct PostgresStore {
    shared: Arc<Shared>,
    /// For what clients and workers ask.
    calls: PgPool,
    /// For transactional activities, which hold theirs for as long as they run.
    transactions: PgPool,
    /// The store's thread.
    runtime: tokio::runtime::Handle,
    /// This process, for those who would know whether it lives, and to judge others by.
    here: Option<process::Here>,
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Store for PostgresStore {
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
            let queue = new.queue.clone();
            if self.start_fresh(&new).await? {
                self.shared.notify_queue(&queue);
                return Ok(StartAnswer::Started);
            }
            let started = self.call(move |shared, connection| {
                let new = new.clone();
                Box::pin(async move { Ok(start::start(connection, shared, &new).await?) })
            });
            let (answer, ended) = started.await?;
            self.shared.notify_ended(ended.as_slice());
            self.shared.notify_queue(&queue);
            Ok(answer)
        })
    }

    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer> {
        Box::pin(self.deliver(message))
    }

    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer> {
        let now = self.now_ms();
        Box::pin(async move {
            let terminated = self.call(move |shared, connection| {
                let (request_id, event) = (request_id.clone(), event.clone());
                Box::pin(async move {
                    Ok(start::terminate(connection, shared, execution, &request_id, &event, now).await?)
                })
            });
            let (answer, ended) = terminated.await?;
            self.shared.notify_ended(ended.as_slice());
            Ok(answer)
        })
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        let now = self.now_ms();
        Box::pin(async move {
            let resumed = self.call(move |shared, connection| {
                Box::pin(async move { Ok(start::resume(connection, shared, execution, now).await?) })
            });
            let (answer, queue) = resumed.await?;
            queue.iter().for_each(|queue| self.shared.notify_queue(queue));
            self.shared.notify_clients();
            Ok(answer)
        })
    }

    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()> {
        Box::pin(self.write_reply(reply))
    }

    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        Box::pin(async move {
            match self.has_reply(request_id.clone()).await? {
                true => self.pop_reply(request_id).await,
                false => Ok(None),
            }
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
        Box::pin(self.delete_messages(ids))
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
        Box::pin(self.unregister_worker(owner))
    }

    fn dead(&self) -> StoreFuture<'_, Deaths> {
        Box::pin(self.dead_workers())
    }

    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64> {
        Box::pin(self.take_over_from(dead))
    }

    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed> {
        let now = self.now_ms();
        Box::pin(self.once(move |shared, connection| {
            let claim = claim.clone();
            Box::pin(async move { claim::claim(connection, shared, &claim, now).await })
        }))
    }

    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks> {
        Box::pin(self.take_tasks(claim))
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(self.end_task(owner, key, body))
    }

    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()> {
        Box::pin(self.give_back(owner, keys))
    }

    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>> {
        Box::pin(self.read_tasks(owner))
    }

    fn expire_tasks(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.end_expired())
    }

    fn database(&self) -> Database {
        Database::Postgres
    }

    fn begin_attempt(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        Box::pin(self.begin(owner, key))
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
        self.shared.news.subscribe()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.shared.close();
            let mut ended = self.shared.ended.subscribe();
            // An error means that the writers are gone, which is what is waited for.
            drop(ended.wait_for(|ended| *ended == writer::SLOTS).await);
            drop(self.shared.put_off.subscribe().wait_for(|put_off| *put_off == 0).await);
            self.calls.close().await;
            self.transactions.close().await;
            Ok(())
        })
    }
}
