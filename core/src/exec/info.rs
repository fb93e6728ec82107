//! Facts about an execution.

use crate::queueing::Priority;
use crate::start_context::{Parent, StartContext};

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
    /// The slot for which a schedule started it, or started a run before it in its chain: the nominal time, without
    /// jitter. `None`: no schedule did.
    pub scheduled_at: Option<jiff::Timestamp>,
    /// The run that started this one as its child.
    pub parent: Option<Parent>,
    /// How many parents are above it. 0: it is no child.
    pub depth: u32,
    /// Which attempt of the workflow it is, from 1. More than 1 where the runs before it have failed, under a
    /// retry policy of the workflow.
    pub attempt: u32,
    /// The priority of its activities and children that have none of their own. `None`: as if it were normal.
    pub priority: Option<Priority>,
    /// The number of events so far.
    pub history_len: u64,
    /// The bytes of the events so far, estimated: their payloads and texts, and a few for each event.
    pub history_bytes: u64,
    /// The number of updates accepted so far.
    pub updates: u64,
    /// Whether a replay is running. For logging only: a branch on it is not deterministic.
    pub is_replaying: bool,
}

impl Info {
    /// Creates the facts that are known before the start.
    pub fn new(workflow_id: String, run_id: String, workflow_type: String, task_queue: String) -> Self {
        Self { workflow_id, run_id, workflow_type, task_queue, attempt: 1, ..Self::default() }
    }

    /// The run begins.
    pub(super) fn begins(&mut self, context: StartContext, now_ms: i64) {
        self.started_at_ms = now_ms;
        self.attempt = context.attempt();
        self.scheduled_at = context.scheduled_at_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        (self.parent, self.depth, self.priority) = (context.parent, context.depth, context.priority);
    }
}

/// From so many events on a new run should go on.
const LONG_EVENTS: u64 = 4_096;
/// From so many bytes of events on a new run should go on: 4 MiB.
const LONG_BYTES: u64 = 4 * 1024 * 1024;
/// From so many accepted updates on a new run should go on: a run accepts 2,000.
const MANY_UPDATES: u64 = 1_500;

impl Info {
    /// Whether the history is so long that a new run should go on: from 4,096 events, 4 MiB or 1,500 accepted updates
    /// on. It is the same on replay. A load reads the whole history. A history ends at 51,200 events or 50 MiB, and a
    /// run accepts 2,000 updates.
    ///
    /// The run goes on by `return workflow::continue_as_new(..).await;`.
    pub fn should_continue_as_new(&self) -> bool {
        self.history_len >= LONG_EVENTS || self.history_bytes >= LONG_BYTES || self.updates >= MANY_UPDATES
    }
}

#[test]
fn a_history_is_long_by_its_events_its_bytes_or_its_updates() {
    let info = |history_len, history_bytes| Info { history_len, history_bytes, ..Info::default() };
    assert!(!info(LONG_EVENTS - 1, LONG_BYTES - 1).should_continue_as_new());
    assert!(info(LONG_EVENTS, 0).should_continue_as_new());
    assert!(info(1, LONG_BYTES).should_continue_as_new());
    let info = |updates| Info { updates, ..Info::default() };
    assert!(!info(MANY_UPDATES - 1).should_continue_as_new() && info(MANY_UPDATES).should_continue_as_new());
}
