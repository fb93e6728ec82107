//! Failed attempts whose activity goes on: kept beside the history, so that retries do not make it grow (PROTOCOL 4).
//!
//! A failed attempt that another one follows is no event. Workflow code never sees it, so a replay does not need it; what the
//! next owner needs is the last one of each activity. The turn says what to write ([`AttemptChange`]), the store keeps it with
//! the turn's append, and a load hands it back before the replay ([`super::Execution::resume_attempts`]).

use crate::failure::FailureRecord;
use crate::ids::EventId;
use std::collections::BTreeMap;

/// The last attempt of an open activity that failed; another one follows.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// Which attempt it was, from 1: so many have failed.
    pub attempt: u32,
    /// When the next one is due: ms since the Unix epoch, on the store's clock.
    pub next_at_ms: i64,
    /// How it failed.
    pub failure: FailureRecord,
    /// How many attempts in a row, up to this one, went down with their worker.
    pub lost: u32,
}

/// What a turn's append does to the failed attempts that the store keeps. At most one change for an activity. A closing append
/// makes none: the store deletes all that are left by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptChange {
    /// It takes the place of the one before.
    Failed(FailedAttempt),
    /// The activity has ended, or nobody waits for it: nothing is kept.
    Gone(EventId),
}

impl AttemptChange {
    /// Whose it is.
    pub fn activity(&self) -> EventId {
        match self {
            Self::Failed(failed) => failed.activity,
            Self::Gone(activity) => *activity,
        }
    }
}

/// A failed attempt, for the log.
#[derive(Clone, Debug)]
pub struct AttemptFailure {
    /// The activity's type.
    pub name: &'static str,
    /// From 1.
    pub attempt: u32,
    /// How it has failed.
    pub failure: FailureRecord,
    /// When the next one follows. `None`: the activity has failed.
    pub next_at_ms: Option<i64>,
}

/// The last change of each activity: a row is written once.
pub(super) fn last_of_each(changes: impl Iterator<Item = AttemptChange>) -> Vec<AttemptChange> {
    let last: BTreeMap<EventId, AttemptChange> = changes.map(|change| (change.activity(), change)).collect();
    last.into_values().collect()
}
