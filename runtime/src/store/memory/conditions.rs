//! What a simulation decides about each call: how long its parts take, and how it ends.

use super::tables::Tables;
use super::write::Write;
use crate::store::Fault;
use std::time::Duration;

/// One call on its way to the database. A store's method that is several calls there (a take-over) is asked about for each, and
/// so is each try of one that is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The store's method, or the part of one: `append`, `start_alone`, `alive` and `found` are the writer's.
    pub name: &'static str,
    /// Whether it may write.
    pub writes: bool,
    /// Which process asks, by its number.
    pub process: u32,
    /// The how manyeth call of all, from 1.
    pub nth: u64,
}

/// The course of one call. The default takes no time and is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// From the asking to the first statement.
    pub before: Duration,
    /// From each statement to the next.
    pub between: Duration,
    /// From the last statement of a transaction to its commit; its locks are held for so long.
    pub held: Duration,
    /// From the end to the answer. [`Duration::MAX`]: there is none, ever; the store gives up by itself, as on a server that is silent.
    pub after: Duration,
    /// How it ends.
    pub end: End,
    /// When a caller is told that the call broke, from the asking on: possibly long before the commit. `None`: `after` its end.
    pub told: Option<Duration>,
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its answer.
    Answered,
    /// Nothing is done, and the caller is told why: a lock that was not had in time, a full disk; `Lost`: the server is unreachable.
    Refused(Fault),
    /// The connection breaks, and what was done is rolled back. The caller knows nothing of that.
    BrokenBefore,
    /// The connection breaks, and what was done is committed. The caller knows nothing of that.
    BrokenAfter,
}

impl Default for Course {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { before: none, between: none, held: none, after: none, end: End::Answered, told: None }
    }
}

/// What a simulation has in its hands. Asked and told under the database's mutex or beside it: it must not ask the
/// server or a store for anything.
pub(crate) trait Conditions: Send + Sync {
    /// Asked once a call. Delays count where the server has a runtime.
    fn course(&self, call: &Call) -> Course {
        let _ = call;
        Course::default()
    }

    /// How long a notification is on its way to a process; asked for each that listens. `None`: it is lost.
    fn notify_after(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    /// What this call has just committed, and the tables with it: for a trace, and for what must hold at every instant.
    fn committed(&self, call: &Call, writes: &[Write], tables: &Tables) {
        let _ = (call, writes, tables);
    }
}
