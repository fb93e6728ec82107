//! The store: where executions, their journals and their messages are kept, behind a few small traits.
//!
//! It sits below the worker (which appends turns and claims executions) and the client (which starts, signals
//! and reads). The traits speak in executions, appends and messages, never in SQL: SQLite and Postgres
//! implement it, and for tests tables in memory; one conformance suite runs against all. A store must never
//! know workflow code, never hold a transaction across a caller's await, and never turn a storage error into
//! a workflow's outcome (PROTOCOL 8).
//!
//! Each trait lies beside its data, and each store implements it in the file of the same name: [`Journal`], [`Starts`],
//! [`Inbox`], [`Lookup`], [`Ownership`], [`Tasks`], [`Streams`], [`Within`]. What the protocol decides lies in
//! [`decide`], below all stores.
//!
//! Reading order: [`execution`] (rows and starts), [`append`] (the hot path), [`message`] (the inbox),
//! [`owner`] (leases, claims, take-over), [`task`] (attempts that the database arbitrates), [`limit`]
//! (how they share a task queue), [`attempt`]
//! (failed ones that others follow), [`transaction`], [`find`] (looking things up), [`error`], [`hook`]
//! (faults and counters).

mod action;
mod append;
mod attempt;
mod child;
mod clock;
mod decide;
mod dispatch;
mod error;
mod execution;
mod failure;
mod find;
mod group;
mod handed;
mod hook;
mod journal;
mod limit;
#[cfg(feature = "testing")]
pub(crate) mod memory;
mod message;
mod owner;
mod patience;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod queue;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod row;
mod schedule;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod stream;
mod successor;
mod sweep;
mod task;
mod transaction;

#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(crate) mod conformance;

pub(crate) use action::Action;
pub(crate) use append::{Ack, Append, AppendOutcome, Close, CloseKind, RowChange};
pub(crate) use attempt::{AttemptChange, AttemptRow};
#[cfg(feature = "testing")]
pub(crate) use child::ChildOf;
pub(crate) use child::{NewChild, close_policy};
pub(crate) use dispatch::{Address, AnswerBody, Dispatch, answer_id, answered_by};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use error::Trouble;
pub(crate) use error::{StoreError, StoreFuture};
#[cfg(feature = "testing")]
pub(crate) use execution::Scheduled;
pub(crate) use execution::{
    ExecutionRow, NewExecution, ResumeAnswer, StartAnswer, Starts, Suspension, Terms,
};
pub(crate) use find::{Filter, Find, Lookup, Page};
pub(crate) use handed::{HandOut, Handed, TokenBeat};
pub(crate) use hook::Counters;
pub use hook::{Fault, FaultHook, Metrics, Stage};
pub(crate) use journal::{Journal, StoredRun, StoredTurn, Unreadable, joined, read_event};
pub(crate) use limit::{Place, QueueTurn, WorkerLimit};
pub(crate) use message::{Inbox, InboxRow, MessageKind, NewMessage, Reply, SendAnswer, request_text};
pub(crate) use owner::{Claim, Claimed, ClaimedEnds, Deaths, Ownership, Suspicion, WorkerInfo};
pub(crate) use owner::{LEASE, RENEW_EVERY, SUSPECT_FROM};

pub(crate) use schedule::{
    AskedOf, REPORTS_AT_ONCE, RunKeys, SCHEDULES_A_PAGE, STEPS_AT_ONCE, ScheduleAnswer, ScheduleAsk,
    ScheduleParts, ScheduleRow, Schedules, StartedRun, Stepped,
};
pub(crate) use stream::{NewItem, PublishedNews, READ_BYTES, READ_ITEMS, StreamRow, Streams};
pub(crate) use successor::Successor;
pub(crate) use sweep::{Orphans, SWEEP_AT_ONCE, Sweep};
pub(crate) use task::{
    AttemptBody, Beat, BeatRow, Beaten, ClaimedTasks, NewTask, OwnedTask, Task, TaskChange, TaskClaim,
    TaskKey, Tasks,
};
pub(crate) use transaction::{AttemptTransaction, INSIDE, UserConnection, Within, may_succeed_again};

use abide_core::Database;
use tokio::sync::watch;

/// One open database. Shared as `Arc<dyn Store>` by the workers and clients of a process.
///
/// Who has the answer to one write and asks for another gets them in that order. Without the answer nothing
/// is certain: SQLite has one FIFO, Postgres two writers and a pool. A future that is dropped does not undo
/// its write: the write may still happen.
pub(crate) trait Store:
    Journal
    + Starts
    + Inbox
    + Lookup
    + Ownership
    + Tasks
    + Handed
    + Streams
    + Schedules
    + Within
    + Sweep
    + 'static
{
    /// Which kind of database it is: a transactional activity needs one of its own kind.
    fn database(&self) -> Database;

    /// Refuses a call that would wait for the transaction that it is made from: `InsideTransaction`, from
    /// within a transactional activity whose transaction holds the store's only write lock.
    fn outside(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Counts up when there may be something that a worker of this process must look at: a start, a message, a task,
    /// a termination, a resume, of this process or another (SQLite: any commit of another, polled every 50 ms).
    fn changes(&self) -> watch::Receiver<u64>;

    /// Counts up when there may be something that a client of this process waits for: an execution has closed
    /// or is suspended, a reply to this process is there.
    fn news(&self) -> watch::Receiver<u64>;

    /// This process's block of ids, which no other process has. A request that names it
    /// ([`Reply::asker`]) is answered to this process alone.
    fn block(&self) -> i64;

    /// What was written so far by this process.
    fn metrics(&self) -> Metrics;

    /// Writes what is queued and lets go of the files. Later calls fail.
    fn close(&self) -> StoreFuture<'_, ()>;
}
