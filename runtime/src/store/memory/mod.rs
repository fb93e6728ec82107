//! The memory store: tables in memory, for tests. A model of Postgres under READ COMMITTED, as `store/postgres/` uses it.
//!
//! Two have need of it. A user's test environment: every call answers at once. A deterministic simulation: several processes, each a
//! runtime of its own with a clock of its own, share one [`Server`], whose calls take time, break off and are lost as its
//! [`Conditions`] say. The same statements as in `store/postgres/`, in the same transactions, with the same locks; without SQL and without I/O.
//!
//! Reading order: [`tables`] and [`write`] (what is committed), [`locks`], [`statement`] (one look at them), [`server`] (transactions),
//! [`session`] and [`conditions`] (a call's course); then a process's side: [`shared`], [`call`], [`writer`], and what they ask: [`batch`],
//! [`tokens`], [`guard`], [`start`], [`message`], [`read`], [`lease`], [`claim`], [`task`].
//!
//! Nothing here may read the wall clock, draw a random number, start a thread, or walk over a map without an order.
//!
//! # What it leaves out
//! A statement that has to wait takes its locks and its snapshot anew, all at once: what a single SQL statement may see while it
//! waits in its middle is tried by `store/postgres/permutations/`, on a real server. A process has one writer and one lease row a worker.

mod attempt;
mod batch;
mod call;
mod claim;
mod conditions;
mod guard;
mod lease;
mod locks;
mod message;
mod read;
mod server;
mod session;
mod shared;
mod start;
mod statement;
mod tables;
mod task;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))] // with the suite, whose processes they use
pub(in crate::store) mod tests;
mod tokens;
mod write;
mod writer;

pub(crate) use conditions::Conditions;
pub use conditions::{Call, Course, End};
pub(crate) use server::{Server, ServerOptions};
pub(crate) use tables::Tables;
pub(crate) use write::Write;

use super::clock::Clock;
use super::{
    Ack, Append, AttemptTransaction, Claim, Claimed, ClaimedTasks, Deaths, ExecutionRow, FaultHook, Filter,
    Find, InboxRow, LEASE, Metrics, NewExecution, NewMessage, OwnedTask, Page, Reply, ResumeAnswer,
    SendAnswer, StartAnswer, Store, StoreError, StoreFuture, StoredRun, StoredTurn, TaskClaim, TaskKey,
    UserConnection, WorkerInfo,
};
use abide_core::{Database, ExecutionId, Incarnation};
use shared::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// How a process connects.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// Faults for tests. Default: none.
    pub(crate) fault: Option<FaultHook>,
    /// The machine that the process is on, whose operating system tells the others there when it has ended. Default: `None`, unknown.
    pub(crate) machine: Option<u32>,
    /// Whether the process has a clock of its own, set by each renewal. Default: false, it reads the server's.
    pub(crate) own_clock: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { lease: LEASE, fault: None, machine: None, own_clock: false }
    }
}

/// One process's connection to a database in memory.
pub(crate) struct MemoryStore {
    shared: Arc<Shared>,
}

impl Server {
    /// One more process. Its writer is a task of the runtime that this is called from.
    pub(crate) fn connect(self: &Arc<Self>, options: ConnectOptions) -> Arc<MemoryStore> {
        let ConnectOptions { lease, fault, machine, own_clock } = options;
        let clock = own_clock.then(|| Clock::new(self.now_ms()));
        let shared = Arc::new(Shared::new(self, lease, fault, machine, clock));
        self.connected(&shared);
        tokio::spawn(writer::Writer::new(&shared).run());
        Arc::new(MemoryStore { shared })
    }
}

impl MemoryStore {
    /// Which process it is, as [`Call::process`] and [`Server::kill`] name it.
    pub(crate) fn process(&self) -> u32 {
        self.shared.process
    }

    fn wrong_connection<T>(found: &str) -> Result<T, StoreError> {
        let expected = Database::Memory.to_string();
        Err(StoreError::WrongConnection { found: found.to_owned(), expected })
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
    fn submit(&self, append: Append, ack: Ack) {
        self.shared.queue.append(append, ack);
        self.shared.wake.notify_one();
    }

    fn execution_id(&self) -> ExecutionId {
        self.shared.execution_id()
    }

    fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }

    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer> {
        Box::pin(self.begin_execution(new))
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
        Box::pin(self.end_execution(execution, request_id, event, self.now_ms()))
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        Box::pin(self.resume_execution(execution, self.now_ms()))
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
        Box::pin(self.take_executions(claim))
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

    /// There is no SQL whose transaction an attempt could share.
    fn begin_attempt(&self, _: Incarnation, _: TaskKey) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        Box::pin(async { Self::wrong_connection("one of a transactional activity") })
    }

    fn database(&self) -> Database {
        Database::Memory
    }

    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        _: NewExecution,
    ) -> StoreFuture<'a, StartAnswer> {
        let found = kind_of(&connection);
        Box::pin(async move { Self::wrong_connection(found) })
    }

    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        _: NewMessage,
    ) -> StoreFuture<'a, SendAnswer> {
        let found = kind_of(&connection);
        Box::pin(async move { Self::wrong_connection(found) })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.shared.news()
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

/// What a user's connection is, for the error.
fn kind_of(connection: &UserConnection<'_>) -> &'static str {
    match connection {
        #[cfg(feature = "postgres")]
        UserConnection::Postgres(_) => "one of Postgres",
        #[cfg(feature = "sqlite")]
        UserConnection::Sqlite(_) => "one of SQLite",
        #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
        UserConnection::None(_) => "none",
    }
}
