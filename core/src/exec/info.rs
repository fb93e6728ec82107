//! Facts about an execution.

use crate::start_context::Parent;

/// Facts about the running execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The id given at start.
    pub workflow_id: String,
    /// The id of this run.
    pub run_id: String,
    /// The workflow's type.
    pub workflow_type: String,
    /// The task queue.
    pub task_queue: String,
    /// When it started: ms since the Unix epoch.
    pub started_at_ms: i64,
    /// The run that started this one as its child.
    pub parent: Option<Parent>,
    /// How many parents are above it. 0: it is no child.
    pub depth: u32,
    /// The number of events so far.
    pub history_len: u64,
    /// Whether a replay is running. For logging only: a branch on it is not deterministic.
    pub is_replaying: bool,
}

impl Info {
    /// Creates the facts that are known before the start.
    pub fn new(workflow_id: String, run_id: String, workflow_type: String, task_queue: String) -> Self {
        Self { workflow_id, run_id, workflow_type, task_queue, ..Self::default() }
    }
}
