//! What a simulation decides about each call: how long its parts take, and how it ends.

use super::tables::Tables;
use super::write::Write;
use crate::store::Fault;
use std::time::Duration;

/// One call on its way to the database. If a store's method makes several calls (a take-over), each is asked
/// about, and so is each retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The store's method, or the part of one: `append`, `start_alone`, `alive` and `found` are the writer's.
    pub name: &'static str,
    /// Whether it may write.
    pub writes: bool,
    /// Which process asks, by its number.
    pub process: u32,
    /// The number of the call, from 1.
    pub nth: u64,
}

/// The course of one call. The default takes no time and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// From the request to the first statement.
    pub before: Duration,
    /// From each statement to the next.
    pub between: Duration,
    /// From the last statement of a transaction to its commit. Locks are held meanwhile.
    pub held: Duration,
    /// From the end to the answer. [`Duration::MAX`]: never. The store gives up by itself, as with a server
    /// that does not answer.
    pub after: Duration,
    /// How it ends.
    pub end: End,
    /// When a caller is told that the connection broke, counted from the request: possibly long before the
    /// commit. `None`: `after` its end.
    pub told: Option<Duration>,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its answer.
    Answered,
    /// Nothing is done, and the caller is told why: a lock that it did not get in time, a full disk; `Lost`:
    /// the server is unreachable.
    Refused(Fault),
    /// The connection breaks, and the call is rolled back. The caller does not know that.
    BrokenBefore,
    /// The connection breaks, and the call is committed. The caller does not know that.
    BrokenAfter,
}

impl Default for Course {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { before: none, between: none, held: none, after: none, end: End::Answered, told: None }
    }
}

/// What a simulation controls. Called with the database's mutex held or not, so it must not call the server or a
/// store.
pub(crate) trait Conditions: Send + Sync {
    /// Asked once for each call. Delays apply if the server has a runtime.
    fn course(&self, call: &Call) -> Course {
        let _ = call;
        Course::default()
    }

    /// How long a notification takes to reach a process; asked for each that listens. `None`: it is lost.
    fn notify_after(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    /// What this call has just committed, and the tables with it: for a trace, and for invariants that hold
    /// at every instant.
    fn committed(&self, call: &Call, writes: &[Write], tables: &Tables) {
        let _ = (call, writes, tables);
    }
}
