//! What a schedule remembers. All of it is bounded: the row is written at each step.

use super::inputs::RunEnd;
use super::policy::Overlap;
use serde::{Deserialize, Serialize};

/// What a schedule remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The open runs that slots wait for: those started under another policy than [`Overlap::AllowAll`]. At most one.
    pub running: Vec<Running>,
    /// How many runs are open that were started under [`Overlap::AllowAll`].
    pub overlapping: u64,
    /// The slots that wait for the end of the open run, oldest first. At most [`MAX_BUFFERED`](super::MAX_BUFFERED).
    pub buffered: Vec<Buffered>,
    /// The backfills that are not through. At most [`MAX_BACKFILLS`](super::MAX_BACKFILLS).
    pub backfills: Vec<Backfill>,
    /// What has happened so far.
    pub counts: Counts,
    /// The last ten starts, oldest first.
    pub recent: Vec<Recent>,
    /// The end of a run that came last.
    pub last: Option<LastRun>,
    /// How many more slots are started. Triggers and backfills do not count. `None`: no limit.
    pub remaining: Option<u64>,
}

/// An open run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its slot, in Unix milliseconds.
    pub slot_ms: i64,
    /// What the schedule has asked it to do.
    #[serde(default)]
    pub asked: Option<Asked>,
}

/// What a schedule has asked an open run to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// To cancel.
    Cancel,
    /// To terminate.
    Terminate,
}

/// A slot that waits to be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffered {
    /// The slot, in Unix milliseconds.
    pub slot_ms: i64,
    /// The request that asked for it: of a trigger or a backfill.
    #[serde(default)]
    pub request_id: Option<String>,
    /// What it does while a run is open. `None`: what the schedule's policy says.
    #[serde(default)]
    pub overlap: Option<Overlap>,
}

/// A backfill that is not through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// The request that asked for it.
    pub request_id: String,
    /// The earliest slot that is still to be taken, in Unix milliseconds.
    pub from_ms: i64,
    /// The latest slot, in Unix milliseconds.
    pub to_ms: i64,
    /// What its slots do while a run is open. `None`: what the schedule's policy says.
    #[serde(default)]
    pub overlap: Option<Overlap>,
}

/// How often what has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Runs that were started.
    pub started: u64,
    /// Starts that were refused, since the workflow id was taken.
    pub failed: u64,
    /// Slots that came up later than the catch-up window.
    pub missed: u64,
    /// Slots that were skipped, since a run was open.
    pub skipped: u64,
    /// Slots that waited, or were to wait, and were dropped: the buffer was full, the schedule was paused, or no
    /// actions remained.
    pub dropped: u64,
}

/// A start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// The workflow id of the run.
    pub workflow_id: String,
    /// Its slot, in Unix milliseconds.
    pub slot_ms: i64,
    /// When it was started, in Unix milliseconds.
    pub at_ms: i64,
    /// How it ended. `None`: it is open.
    #[serde(default)]
    pub end: Option<RunEnd>,
    /// Why it could not be started.
    #[serde(default)]
    pub refused: Option<String>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its slot, in Unix milliseconds.
    pub slot_ms: i64,
    /// How it ended.
    pub end: RunEnd,
    /// When the schedule took note of it, in Unix milliseconds.
    pub at_ms: i64,
}

impl State {
    /// Takes note that a run is no longer open.
    pub(super) fn ended(&mut self, workflow_id: &str) {
        let before = self.running.len();
        self.running.retain(|run| run.workflow_id != workflow_id);
        if self.running.len() == before {
            self.overlapping = self.overlapping.saturating_sub(1);
        }
    }
}
