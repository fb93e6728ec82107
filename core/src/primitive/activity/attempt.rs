//! Failed attempts of activities that go on. They are stored beside the history, so that retries do not make
//! it grow (PROTOCOL 4).
//!
//! A failed attempt that is retried is not an event. Workflow code never sees it, so a replay does not need
//! it. The next owner needs the last one of each activity. The turn returns what to write
//! ([`AttemptChange`]), the store writes it with the turn's append, and a load returns it before the replay
//! ([`crate::exec::Execution::resume_attempts`]).

use crate::failure::FailureRecord;
use crate::ids::EventId;
use std::collections::BTreeMap;

/// The last failed attempt of an open activity. Another attempt follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// The number of the failed attempt, from 1.
    pub attempt: u32,
    /// When the next attempt is due: ms since the Unix epoch, on the store's clock.
    pub next_at_ms: i64,
    /// How it failed.
    pub failure: FailureRecord,
    /// How many consecutive attempts, up to this one, were lost with their worker.
    pub lost: u32,
}

/// How a turn's append changes the stored failed attempts: at most one change for an activity. A closing
/// append has no changes, because the store then deletes all failed attempts of the execution.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptChange {
    /// Replaces the stored attempt of the activity.
    Failed(FailedAttempt),
    /// The activity has ended, or no future waits for it: deletes the stored attempt.
    Gone(EventId),
}

impl AttemptChange {
    /// The activity that the change is about.
    pub fn activity(&self) -> EventId {
        match self {
            Self::Failed(failed) => failed.activity,
            Self::Gone(activity) => *activity,
        }
    }

    /// Keeps the last change of each activity, so that each row is written once.
    pub(crate) fn last_of_each(changes: Vec<Self>) -> Vec<Self> {
        let last: BTreeMap<EventId, Self> =
            changes.into_iter().map(|change| (change.activity(), change)).collect();
        last.into_values().collect()
    }
}

/// A failed attempt, for the log.
#[derive(Clone, Debug)]
pub struct AttemptFailure {
    /// The activity's type.
    pub name: &'static str,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How it failed.
    pub failure: FailureRecord,
    /// When the next attempt is due. `None`: the activity has failed.
    pub next_at_ms: Option<i64>,
}
