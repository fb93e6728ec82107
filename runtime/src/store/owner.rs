//! Ownership: workers' leases, claims and take-over (PROTOCOL 12-21), as the worker sees them.

use super::error::StoreFuture;
use super::execution::ExecutionRow;
use abide_core::{ExecutionId, Incarnation};
use std::time::Duration;

/// How often a worker renews its lease.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(2);

/// How long a lease lasts from its last renewal.
pub(crate) const LEASE: Duration = Duration::from_secs(12);

/// How many executions a take-over sets free in one transaction.
pub(crate) const FREE_AT_ONCE: usize = 1_000;

/// How long a lease lasts from its last renewal if the worker's lock is free. With the next look for dead
/// workers that is less than 5 s.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) const EARLY: Duration = Duration::from_millis(4_900);

/// How often SQLite asks whether another process has committed.
#[cfg(feature = "sqlite")]
pub(crate) const CHANGE_POLL: Duration = Duration::from_millis(50);

/// The crash count from which an execution is a suspect. Suspects run one at a time.
pub(crate) const SUSPECT_FROM: u32 = 2;

/// Which executions a claim may take by their crashes (PROTOCOL 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// The most crashes of the one suspect that may be claimed. `None`: no suspect.
    pub(crate) suspect: Option<u32>,
    /// An execution with this many crashes is claimed in any case: to be suspended, not to run.
    pub(crate) crash_limit: u32,
}

/// A worker that registers.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerInfo {
    /// The build of its code, for version rules and for people.
    pub(crate) build: String,
    /// Host and process, for people.
    pub(crate) name: String,
    /// Its task queue.
    pub(crate) queue: String,
    /// The workflow types that it has. A type is unknown in a task queue if no live worker of the queue has it.
    pub(crate) types: Vec<String>,
}

/// A worker whose lease has expired or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadWorker {
    /// Its incarnation.
    pub(crate) incarnation: Incarnation,
    /// Host and process, for people.
    pub(crate) name: String,
    /// True: its process is known to be gone. False: its lease has run out.
    pub(crate) gone: bool,
}

/// The result of a look for dead workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deaths {
    /// The dead workers.
    pub(crate) dead: Vec<DeadWorker>,
    /// A lease that was shortened on a suspicion runs out after this time: look again then.
    pub(crate) next: Option<Duration>,
}

/// What a worker claims.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// The claimant.
    pub(crate) owner: Incarnation,
    /// Task queues.
    pub(crate) queues: Vec<String>,
    /// Registered workflow types. `None`: those that no worker of the task queue has (to report or suspend
    /// unknown types).
    pub(crate) types: Option<Vec<String>>,
    /// The worker's build: a suspended execution that allows other builds is tried once by each.
    pub(crate) build: String,
    /// The most executions to claim.
    pub(crate) limit: u32,
    /// Which suspects may be claimed.
    pub(crate) suspicion: Suspicion,
}

/// The result of a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claimed {
    /// Now owned.
    pub(crate) rows: Vec<ExecutionRow>,
    /// When the next unowned execution of these queues and types is due; in the past if more are due now than the
    /// limit allows. Suspects that may not run yet do not count.
    pub(crate) next_due_ms: Option<i64>,
    /// Suspended executions are offered to this build: [`Ownership::claim_offered`] may get some.
    pub(crate) offered: bool,
}

/// The result of a claim of runs that end without code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimedEnds {
    /// Now owned, and as they were: a suspended one is still suspended.
    pub(crate) runs: Vec<ExecutionId>,
    /// When the time of the next unowned run is up.
    pub(crate) next_due_ms: Option<i64>,
}

/// Workers, their leases, and what they own.
pub(crate) trait Ownership: Send + Sync {
    /// Registers a worker: a new incarnation, its lease, and the locks by which its death is noticed early.
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation>;

    /// Renews the lease and measures the clock's offset. Due every [`RENEW_EVERY`].
    /// `Fenced`: it was taken over; register again.
    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Deregisters a worker: deletes its lease and its row. What it still owns becomes claimable. Release first.
    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Workers that are dead: their lease has run out, or they are known to be gone. A hint; [`Ownership::take_over`]
    /// checks again. Never names an incarnation of this process that still holds its lease.
    fn dead(&self) -> StoreFuture<'_, Deaths>;

    /// Fences a dead incarnation out and frees the executions that it owned (PROTOCOL 14, 19). Returns how many.
    /// Any number of workers may do this at once. 0 if it turns out to be alive.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64>;

    /// Claims unowned executions of these queues and types, fenced like an append.
    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed>;

    /// Takes suspended executions that are offered to the claimant's build (PROTOCOL 21), for a claim that
    /// said that there are some. Each is Running again. A transaction of its own, which also gives their
    /// parked messages back (PROTOCOL 97).
    fn claim_offered(&self, claim: Claim) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Claims unowned runs that are to end without code: terminated by a message, or out of time. Of any task
    /// queue, type and open status, and however often they have crashed (PROTOCOL 40). Fenced like an append.
    /// It sets their owner and nothing else: a claimant that dies must leave a suspended run suspended.
    fn claim_ends(&self, owner: Incarnation, limit: u32) -> StoreFuture<'_, ClaimedEnds>;

    /// Everything that `owner` owns in the database, to be compared with its memory (PROTOCOL 14).
    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>>;

    /// The workflow types of each live worker of a task queue; none for one that has activities only.
    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>>;
}
