//! What a program has come to: a tree of the same shape as the program, so that the model can check it place by place.
//!
//! It is the result of a run, and the detail of its error. Only facts that the workflow saw are in it, no times.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a step, or a sequence of steps, came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Value {
    /// Steps in their order; shorter than the program where the last one ended the run.
    Seq(Vec<Value>),
    /// It is done, and there is no more to say.
    Done,
    /// An activity's result.
    Number(u64),
    /// An activity's error that was kept.
    Failed(Trouble),
    /// An activity's error that ends the run.
    Raised(Trouble),
    /// What was drawn, and what the activity that was given it returned.
    Drawn { note: String, result: Box<Value> },
    /// A body that ended within its limit.
    In(Box<Value>),
    /// The limit ran out.
    Elapsed,
    /// A task that was aborted before it ended.
    Aborted,
    /// Branches in their order.
    All(Vec<Value>),
    /// The branch that won, or that broke a `try_join!`.
    Won { branch: usize, value: Box<Value> },
    /// A saga: its legs, and how many compensations failed where it was compensated by hand.
    Saga { legs: Vec<Value>, failures: Option<usize> },
    /// The reason of a cancellation.
    Reason(String),
    /// Ends the run.
    Return,
    /// Ends the run with an error.
    Fail { code: u32 },
}

/// Why an activity failed, as the workflow sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// The activity's own error, by this attempt.
    Refused {
        attempt: u32,
        label: u32,
        stopped: bool,
    },
    StartToClose,
    ScheduleToClose,
    ScheduleToStart,
    /// Its worker was lost, and no attempt was left.
    WorkerLost,
    Cancelled,
    /// None of these is ever expected.
    Other(String),
}

/// How a value ends its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Return,
    Error,
}

impl Value {
    /// Whether the run ends with it. Of parallel branches the first one decides.
    pub(crate) fn stops(&self) -> Option<Stop> {
        match self {
            Self::Return => Some(Stop::Return),
            Self::Fail { .. } | Self::Raised(_) => Some(Stop::Error),
            Self::Seq(values) | Self::All(values) | Self::Saga { legs: values, .. } => {
                values.iter().find_map(Self::stops)
            }
            Self::In(value) | Self::Won { value, .. } | Self::Drawn { result: value, .. } => value.stops(),
            _ => None,
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) value: Value,
    /// The pokes that it had received by then.
    pub(crate) pokes: Vec<u64>,
}

/// The error of a run: as typed as its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScriptFailed {
    pub(crate) output: Output,
}

impl fmt::Display for ScriptFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script failed, as it was told to")
    }
}

impl std::error::Error for ScriptFailed {}

/// What a query tells of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps that have begun, in all branches.
    pub(crate) steps: u64,
    pub(crate) pokes: Vec<u64>,
    /// Visits whose handler has ended.
    pub(crate) visits: Vec<u64>,
}
