//! Children as plain data: how one is started, what the store inserts for it, and how it ends.

use crate::failure::{FailureRecord, TimeoutKind};
use crate::ids::{EventId, ExecutionId};
use crate::payload::Payload;
use crate::policy::RetryPolicy;
use crate::queueing::Priority;
use serde::{Deserialize, Serialize};

/// What happens to a child that is still open when its parent closes. The names and the default are Temporal's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ParentClosePolicy {
    /// It is terminated. The default.
    #[default]
    Terminate,
    /// It goes on alone.
    Abandon,
    /// It is asked to cancel.
    RequestCancel,
}

/// The options of a child that history records, because they keep applying when the code has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChildOptions {
    /// What happens to the child when its parent closes.
    #[serde(skip_serializing_if = "is_default")]
    pub parent_close: ParentClosePolicy,
    /// The time limit of each of its runs, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_timeout_ms: Option<i64>,
    /// The time limit of all its runs together, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_timeout_ms: Option<i64>,
    /// When a failed run is followed by another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// The priority of its activities and children that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

impl ChildOptions {
    /// Whether all are the defaults.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn is_default(policy: &ParentClosePolicy) -> bool {
    *policy == ParentClosePolicy::default()
}

/// The ids of a run that is to be started. The runtime lends them, because this crate makes no ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildIds {
    /// Its key in the database.
    pub execution: ExecutionId,
    /// Its run id.
    pub run_id: String,
}

impl ChildIds {
    /// The ids where nothing was lent, so that nothing can be appended: a look, a query, a replay of a file.
    pub(crate) fn none() -> Self {
        Self { execution: ExecutionId(0), run_id: String::new() }
    }
}

/// A child that the append of a turn inserts.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// The number of its command in the parent's history.
    pub child: EventId,
    /// Its keys.
    pub ids: ChildIds,
    /// Its workflow id.
    pub workflow_id: String,
    /// The workflow code gave the id, so it may be taken: the append answers the command (PROTOCOL 33). Otherwise
    /// the engine made it, and it cannot be taken.
    pub named: bool,
    /// The registered name of its workflow.
    pub workflow_type: String,
    /// Its task queue. `None`: its parent's.
    pub task_queue: Option<String>,
    /// Its encoded arguments.
    pub input: Payload,
    /// Its other options.
    pub options: ChildOptions,
    /// How many parents are above it.
    pub depth: u32,
}

/// How a child ended, as its parent is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChildEnd {
    /// It returned a value.
    Completed(Payload),
    /// It returned an error.
    Failed(FailureRecord),
    /// It was cancelled.
    Cancelled,
    /// It was terminated.
    Terminated,
    /// A time limit ran out.
    TimedOut(TimeoutKind),
}

impl ChildEnd {
    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Completed(result) => result.as_json().len(),
            Self::Failed(failure) => failure.bytes(),
            Self::Cancelled | Self::Terminated | Self::TimedOut(_) => 0,
        }
    }

    /// Its words.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completion",
            Self::Failed(_) => "failure",
            Self::Cancelled => "cancellation",
            Self::Terminated => "termination",
            Self::TimedOut(_) => "timeout",
        }
    }
}
