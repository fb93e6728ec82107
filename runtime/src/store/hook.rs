//! Faults that tests inject into the writer, and counters of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where in a batch a fault can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before anything is sent to the database.
    BeforeCommit,
    /// After the database committed, before anything is acknowledged.
    AfterCommit,
    /// A transactional attempt: before its transaction begins.
    AttemptBegins,
    /// After its body, before its token is taken.
    AttemptEnds,
    /// After its token was taken.
    TokenTaken,
    /// After its outcome was put into the inbox.
    OutcomeKept,
    /// After the fence, before the commit.
    FencePassed,
    /// After its commit, before anything is acknowledged.
    AttemptCommitted,
}

/// A fault that a hook injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks: the outcome is unknown until it is read back.
    Lost,
    /// Another program holds the database's lock.
    Busy,
    /// The disk is full.
    Full,
    /// The file system has turned read-only.
    ReadOnly,
    /// An fsync failed: the worker stops.
    Fsync,
}

/// Called once at each stage of each batch or attempt. For tests.
pub type FaultHook = Arc<dyn Fn(Stage) -> Option<Fault> + Send + Sync>;

/// What the writer of this process has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Transactions that wrote something.
    pub commits: u64,
    /// Commits that held appends.
    pub batches: u64,
    /// Turns of executions written: one journal row each, at most.
    pub appends: u64,
    /// Batches that had to be repeated or split: a lock, a lost lease, a message at a close, a refused row.
    pub retries: u64,
}

/// The live side of [`Metrics`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) appends: AtomicU64,
    pub(crate) retries: AtomicU64,
}

impl Counters {
    /// Adds `n` to a counter. Relaxed, since counters order nothing.
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    /// Reads all counters.
    pub(crate) fn read(&self) -> Metrics {
        Metrics {
            commits: self.commits.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            appends: self.appends.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}
