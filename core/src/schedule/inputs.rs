//! What a schedule is told.

use super::policy::Overlap;
use serde::{Deserialize, Serialize};

/// What a schedule is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The chain of a run has ended.
    Ended {
        /// Its workflow id.
        workflow_id: String,
        /// Its slot, in Unix milliseconds.
        slot_ms: i64,
        /// How it ended.
        end: RunEnd,
        /// The message of its failure, for the note of a schedule that it pauses.
        message: Option<String>,
    },
    /// One run is to be started now, also by a paused schedule.
    Trigger {
        /// The id of the request: a part of the workflow id.
        request_id: String,
        /// What happens while a run is open. `None`: what the schedule's policy says.
        overlap: Option<Overlap>,
    },
    /// The slots of a time in the past are to be started now, also by a paused schedule.
    Backfill {
        /// The id of the request: a part of the workflow ids.
        request_id: String,
        /// The earliest slot, in Unix milliseconds.
        from_ms: i64,
        /// The latest slot, in Unix milliseconds; slots later than now are left out.
        to_ms: i64,
        /// What happens while a run is open. `None`: what the schedule's policy says.
        overlap: Option<Overlap>,
    },
    /// No slot is started from now on.
    Pause {
        /// Why. `None` keeps the note.
        note: Option<String>,
    },
    /// Slots after now are started again.
    Unpause {
        /// Why. `None` keeps the note.
        note: Option<String>,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// It completed.
    Completed,
    /// It failed.
    Failed,
    /// A time limit ended it.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// It was terminated.
    Terminated,
}

impl RunEnd {
    /// Whether it pauses a schedule that pauses on failure.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}
