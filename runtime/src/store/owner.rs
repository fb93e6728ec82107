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

/// How long the lease of a worker whose lock is free lasts from its last renewal: with the look that ends it, less than 5 s.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) const EARLY: Duration = Duration::from_millis(4_900);

/// How often SQLite asks whether another process has committed.
#[cfg(feature = "sqlite")]
pub(crate) const CHANGE_POLL: Duration = Duration::from_millis(50);

/// The crash count from which an execution is a suspect: suspects run one at a time.
pub(crate) const SUSPECT_FROM: u32 = 2;

/// Which executions a claim may take by their crashes (PROTOCOL 19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    /// Whether one suspect may be among them, and with how many crashes at most.
    pub(crate) suspect: Option<u32>,
    /// Whoever has so many is taken in any case: it is to be suspended and does not run.
    pub(crate) guilty: u32,
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
    /// The workflow types that it has: what any live worker of a task queue has is no unknown type there.
    pub(crate) types: Vec<String>,
}

/// A worker whose lease is gone or about to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadWorker {
    /// Its incarnation.
    pub(crate) incarnation: Incarnation,
    /// Host and process, for people.
    pub(crate) name: String,
    /// Whether its process is known to be gone, as against its lease having run out.
    pub(crate) gone: bool,
}

/// What a look for dead workers found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deaths {
    /// Who is dead.
    pub(crate) dead: Vec<DeadWorker>,
    /// Somebody's lease, shortened on a suspicion, runs out after so long: look again then.
    pub(crate) next: Option<Duration>,
}

/// What a worker would take.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Who.
    pub(crate) owner: Incarnation,
    /// Task queues.
    pub(crate) queues: Vec<String>,
    /// Registered workflow types. `None`: those that no worker of the task queue has (to report or suspend unknown types).
    pub(crate) types: Option<Vec<String>>,
    /// The worker's build: a suspended execution that allows other builds is tried once by each.
    pub(crate) build: String,
    /// The most to take.
    pub(crate) limit: u32,
    /// What becomes of those that were running when their owners died.
    pub(crate) suspicion: Suspicion,
}

/// What a claim got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claimed {
    /// Now owned.
    pub(crate) rows: Vec<ExecutionRow>,
    /// When the next unowned execution of these queues and types is due; in the past where more is due now than
    /// the limit let in. Suspects that may not run yet do not count.
    pub(crate) next_due_ms: Option<i64>,
    /// Suspended executions are offered to this build: [`Ownership::claim_offered`] may get some.
    pub(crate) offered: bool,
}

/// Workers, their leases, and what they own.
pub(crate) trait Ownership: Send + Sync {
    /// Registers a worker: an incarnation never used before, its lease, and whatever tells its death early.
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation>;

    /// Renews the lease and measures the clock's offset. Due every [`RENEW_EVERY`].
    /// `Fenced`: it was taken over; register anew.
    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Leaves: lease and worker row go; what it still owns becomes claimable. Release first.
    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()>;

    /// Workers that are dead: their lease has run out, or they are known to be gone. A hint; [`Ownership::take_over`]
    /// checks again. Never names an incarnation of this process that still holds its lease.
    fn dead(&self) -> StoreFuture<'_, Deaths>;

    /// Fences a dead incarnation out and sets free what it owned (PROTOCOL 14, 19); how many that were.
    /// Any number of workers may do this at once. 0 where it turns out alive.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64>;

    /// Takes unowned work of these queues and types, fenced like an append.
    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed>;

    /// Takes suspended executions that are offered to the claimant's build (PROTOCOL 21), for a claim that said that there are
    /// some. Each is Running again. A transaction of its own, which also gives their parked messages back (PROTOCOL 97).
    fn claim_offered(&self, claim: Claim) -> StoreFuture<'_, Vec<ExecutionRow>>;

    /// Everything that `owner` owns by the database, to compare with its memory (PROTOCOL 14).
    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>>;

    /// The workflow types of each live worker of a task queue; none for one that has activities only.
    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>>;
}
