//! The store: where executions, their journals and their messages are kept, behind one small trait.
//!
//! It sits below the worker (which appends turns and claims executions) and the client (which starts, signals and
//! reads). The trait speaks in executions, appends and messages, never in SQL: SQLite and Postgres
//! implement it, and for tests tables in memory; one conformance suite runs against all. A store must never know workflow code, never hold a
//! transaction across a caller's await, and never turn a storage error into a workflow's outcome (PROTOCOL 8).
//!
//! Reading order: [`execution`] (rows and starts), [`append`] (the hot path), [`message`] (the inbox), [`owner`]
//! (leases, claims, take-over), [`task`] (attempts that the database arbitrates), [`attempt`] (failed ones that others follow), [`transaction`], [`find`] (looking things up), [`error`], [`hook`] (faults and counters).

mod append;
mod attempt;
mod clock;
mod decide;
mod error;
mod execution;
mod find;
mod group;
mod hook;
mod journal;
#[cfg(feature = "testing")]
pub(crate) mod memory;
mod message;
mod owner;
mod patience;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod task;
mod transaction;

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(crate) mod conformance;

pub(crate) use append::{Ack, Append, AppendOutcome, RowChange};
pub(crate) use attempt::{AttemptChange, AttemptRow};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use error::Trouble;
pub(crate) use error::{StoreError, StoreFuture};
pub(crate) use execution::{ExecutionRow, NewExecution, ResumeAnswer, StartAnswer, Suspension};
pub(crate) use find::{Filter, Find, Page, StoredRun};
pub(crate) use hook::Counters;
pub use hook::{Fault, FaultHook, Metrics, Stage};
pub(crate) use journal::{StoredTurn, Unreadable, joined, read_event};
pub(crate) use message::{InboxRow, MessageKind, NewMessage, Reply, SendAnswer, request_text};
pub(crate) use owner::{Claim, Claimed, DeadWorker, Deaths, Suspicion, WorkerInfo};
pub(crate) use owner::{LEASE, RENEW_EVERY, SUSPECT_FROM};

pub(crate) use task::{AttemptBody, ClaimedTasks, NewTask, OwnedTask, Task, TaskChange, TaskClaim, TaskKey};
pub(crate) use transaction::{AttemptTransaction, INSIDE, UserConnection, may_succeed_again};

use abide_core::{Database, ExecutionId, Incarnation};
use tokio::sync::watch;

/// One open database. Shared as `Arc<dyn Store>` by the workers and clients of a process.
///
/// Who has the answer to one write and asks for another gets them in that order. Without the answer nothing is certain: SQLite
/// has one FIFO, Postgres two writers and a pool. A future that is dropped does not undo its write: the write may still happen.
pub(crate) trait Store: Send + Sync + 'static {
    // --- the hot path -------------------------------------------------------------------------------------------

    /// Queues one turn of one execution and returns at once. `ack` is called once, from the writer, when the turn
    /// is durable or refused; it must not block. Callers bound the queue: at most one append of an execution is in
    /// flight (PROTOCOL 2).
    ///
    /// Errors: `Fenced` (the owner's lease is gone: drop everything it owns), `Unknown` (read-back failed as well),
    /// or a fatal one. Locks and a full disk are waited out, with warnings: an append is never refused for them.
    fn submit(&self, append: Append, ack: Ack);

    /// A fresh execution id, without a round trip; unique in this database, for ever.
    fn execution_id(&self) -> ExecutionId;

    /// Now, in ms since the Unix epoch, on the store's clock (PROTOCOL 20). Never goes back within a process.
    fn now_ms(&self) -> i64;

    // --- what clients ask ---------------------------------------------------------------------------------------

    /// Starts an execution that nobody owns yet; `id` in it comes from [`Store::execution_id`]. Policies and
    /// request id are decided in the transaction. (A start already owned is an [`Append`] with `create`.)
    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer>;

    /// Puts a message into an open execution's inbox, once per request id.
    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer>;

    /// Ends an execution at once, owned or not. `event` is the JSON of its closing event, `at_ms` is now. An owner
    /// is told by an inbox row of kind [`MessageKind::Terminated`]; whatever it still appends answers
    /// [`AppendOutcome::Lost`]. A known request id answers `Known`.
    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer>;

    /// Lets a suspended execution run again: unowned, due now, its crash counter at 0, every build may try.
    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer>;

    /// Keeps an answer for another process until `expires_at_ms` (PROTOCOL 26). The first answer stays.
    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()>;

    /// Takes an answer out, if it is there.
    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>>;

    // --- reading ------------------------------------------------------------------------------------------------

    /// One execution, by any of its names.
    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>>;

    /// Executions, newest first, a page at a time.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page>;

    /// The journal, oldest first. Seq and n join up from 1, or it is `Damaged` (AB0209).
    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>>;

    /// The inbox rows of everything `owner` owns, in the order they were sent.
    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>>;

    /// Row, journal, failed attempts and inbox of one run, all as of one moment (PROTOCOL 34). `None`: there is no such run.
    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>>;

    /// Queries that wait for executions which nobody may own (closed or suspended ones), of these queues and types.
    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>>;

    /// Deletes inbox rows that were dealt with outside of any append: answered queries.
    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()>;

    /// Everything that `owner` owns by the database, to compare with its memory (PROTOCOL 14).
    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>>;

    /// The workflow types of each live worker of a task queue; none for one that has activities only.
    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>>;

    // --- ownership ----------------------------------------------------------------------------------------------

    /// Registers a worker: an incarnation never used before, its lease, and whatever tells its death early.
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation>;

    /// Renews the lease and measures the clock's offset. Due every [`owner::RENEW_EVERY`].
    /// `Fenced`: it was taken over; register anew.
    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Leaves: lease and worker row go; what it still owns becomes claimable. Release first.
    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Workers that are dead: their lease has run out, or they are known to be gone. A hint; [`Store::take_over`]
    /// checks again. Never names an incarnation of this process that still holds its lease.
    fn dead(&self) -> StoreFuture<'_, Deaths>;

    /// Fences a dead incarnation out and sets free what it owned (PROTOCOL 14, 19); how many that were.
    /// Any number of workers may do this at once. 0 where it turns out alive.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64>;

    /// Takes unowned work of these queues and types, fenced like an append.
    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed>;

    // --- attempts that the database arbitrates ------------------------------------------------------------------

    /// Takes unclaimed tasks of these queues and names, the oldest first, fenced like an append where there are any.
    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks>;

    /// Ends a claimed attempt: its row goes and its outcome, the body of an [`MessageKind::Attempt`], comes into the inbox,
    /// fenced. False: it was decided otherwise, and nothing was written.
    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool>;

    /// Gives claimed tasks back that were never begun: they lose nothing.
    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()>;

    /// The tasks that `owner` has claimed and not ended.
    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>>;

    /// Ends the tasks whose time has run out, as `TimedOut`; how many. Any worker may do this at any time.
    fn expire_tasks(&self) -> StoreFuture<'_, u64>;

    /// Begins the transaction of an attempt whose token row an append of `owner` has written.
    fn begin_attempt(&self, owner: Incarnation, key: TaskKey)
    -> StoreFuture<'_, Box<dyn AttemptTransaction>>;

    /// Which kind of database it is: a transactional activity needs one of its own kind.
    fn database(&self) -> Database;

    /// Refuses a call that would wait for the transaction that it is made from: `InsideTransaction`, from within a transactional
    /// activity whose transaction holds the store's only write lock.
    fn outside(&self) -> Result<(), StoreError> {
        Ok(())
    }

    // --- inside a transaction of the user's ----------------------------------------------------------------------

    /// Like [`Store::start`], on the user's connection: it happens if the user commits.
    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> StoreFuture<'a, StartAnswer>;

    /// Like [`Store::send`], on the user's connection.
    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> StoreFuture<'a, SendAnswer>;

    // --- housekeeping -------------------------------------------------------------------------------------------

    /// Counts up when there may be something that a worker of this process must look at: a start, a message, a task,
    /// a termination, a resume, of this process or another (SQLite: any commit of another, polled every 50 ms).
    fn changes(&self) -> watch::Receiver<u64>;

    /// Counts up when there may be something that a client of this process waits for: an execution has closed or is suspended, a reply
    /// is there.
    fn news(&self) -> watch::Receiver<u64>;

    /// What was written so far by this process.
    fn metrics(&self) -> Metrics;

    /// Writes what is queued and lets go of the files. Later calls fail.
    fn close(&self) -> StoreFuture<'_, ()>;
}
