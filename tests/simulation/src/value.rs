//! The result of a program: a tree with the same shape as the program, so that the model can check it node by
//! node.
//!
//! It is a run's result, or the detail of its error. It contains only facts that the workflow saw, and no
//! times.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The result of a step, or of a sequence of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Value {
    /// Steps in their order. Shorter than the program if the last one ended the run.
    Seq(Vec<Value>),
    /// The step is done and has no further result.
    Done,
    /// An activity's result.
    Number(u64),
    /// An activity's error that the workflow recorded.
    Failed(Trouble),
    /// An activity's error that ends the run.
    Raised(Trouble),
    /// The drawn value, and the result of the activity that received it.
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
    /// A saga: its legs, and how many compensations failed if it was compensated explicitly.
    Saga { legs: Vec<Value>, failures: Option<usize> },
    /// The reason of a cancellation.
    Reason(String),
    /// How a child has ended.
    Child(Seen),
    /// Whether a workflow that was poked had an open run.
    Told(bool),
    /// Ends the run.
    Return,
    /// Ends the run with an error.
    Fail { code: u32 },
}

/// Why an activity failed, as the workflow sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// The activity's own error, with the attempt that returned it.
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
    /// Never expected.
    Other(String),
}

/// How a child has ended, as its parent sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Seen {
    Completed(Box<Output>),
    Failed(Box<Output>),
    Cancelled,
    Terminated,
    TimedOut,
    /// It was not started: its workflow id is that of an open run.
    Taken,
    /// It was started, and is left alone.
    Left,
    /// Never expected.
    Other(String),
}

/// How a value ends its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Return,
    Error,
}

impl Value {
    /// Whether the run ends with it. Of parallel branches, the first one decides.
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

impl Value {
    /// The code of the error that ends the run.
    fn code(&self) -> Option<u32> {
        match self {
            Self::Fail { code } => Some(*code),
            Self::Seq(values) | Self::All(values) | Self::Saga { legs: values, .. } => {
                values.iter().find(|value| value.stops().is_some())?.code()
            }
            Self::In(value) | Self::Won { value, .. } | Self::Drawn { result: value, .. } => value.code(),
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

/// The error of a run. It is typed like the result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScriptFailed {
    pub(crate) output: Output,
}

impl ScriptFailed {
    /// Whether another attempt may help: not after every fourth code.
    pub(crate) fn is_retryable(&self) -> bool {
        self.output.value.code().is_none_or(|code| !code.is_multiple_of(4))
    }
}

impl fmt::Display for ScriptFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the script failed, as it was told to")
    }
}

impl std::error::Error for ScriptFailed {}

/// The error of an update: its validator refuses every fifth number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Uncounted {
    pub(crate) n: u64,
    /// The validator said it. If not, the activity of the handler has failed.
    pub(crate) rejected: bool,
}

impl Uncounted {
    /// Whether the validator refuses this number.
    pub(crate) fn rejects(n: u64) -> bool {
        n.is_multiple_of(5)
    }
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was not counted", self.n)
    }
}

impl std::error::Error for Uncounted {}

/// The result of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Steps that have begun, in all branches.
    pub(crate) steps: u64,
    pub(crate) pokes: Vec<u64>,
    /// Visits whose handler has ended.
    pub(crate) visits: Vec<u64>,
}
