//! Ownership: workers' leases, claims and take-over (PROTOCOL 12-21), as the worker sees them.

use super::execution::ExecutionRow;
use abide_core::Incarnation;
use std::time::Duration;

/// How often a worker renews its lease.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(2);

/// How long a lease lasts from its last renewal.
pub(crate) const LEASE: Duration = Duration::from_secs(12);

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
    /// Registered workflow types. `None`: those that no worker of the task queue has (to report or suspend what nobody knows).
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
    /// Now owned. A row that was suspended is Running again.
    pub(crate) rows: Vec<ExecutionRow>,
    /// When the next unowned execution of these queues and types is due; in the past where more is due now than
    /// the limit let in. Suspects that may not run yet do not count.
    pub(crate) next_due_ms: Option<i64>,
}
