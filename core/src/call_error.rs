//! The errors that workflow code sees for a call.

use crate::failure::{Failure, TimeoutKind};
use crate::fault::Fault;
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::error::Error;
use std::fmt;

/// The error of a call to an activity that returns `Result<T, E>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivityError<E> {
    /// It returned this error.
    Failed(E),
    /// A limit ran out.
    TimedOut {
        /// Which limit.
        kind: TimeoutKind,
        /// The last failure of the attempts before, if there was one. It is also this error's source.
        cause: Option<Box<Self>>,
    },
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
    /// Its worker died or shut down during it, and no attempt was left.
    WorkerLost,
    /// The engine refused its input or result. The text begins with a code.
    Invalid(String),
}

/// The error of a call to a *plain* activity or child workflow, one that returns `T`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// A limit ran out.
    TimedOut {
        /// Which limit.
        kind: TimeoutKind,
        /// The last failure of the attempts before, if there was one. It is also this error's source.
        cause: Option<Box<Self>>,
    },
    /// It was cancelled.
    Cancelled,
    /// It panicked, with this message.
    Panicked(String),
    /// Its worker died or shut down during it, and no attempt was left.
    WorkerLost,
    /// The child was terminated from outside.
    Terminated,
    /// The child was not started: another run has this workflow id.
    IdTaken(String),
    /// The engine refused its input or result. The text begins with a code.
    Invalid(String),
}

/// The error of a child workflow that returns `Result<T, E>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChildError<E> {
    /// It returned this error.
    Failed(E),
    /// A time limit ran out.
    TimedOut(TimeoutKind),
    /// It was cancelled.
    Cancelled,
    /// It was terminated from outside.
    Terminated,
    /// It was not started: another run has this workflow id.
    IdTaken(String),
    /// The engine refused its input or result. The text begins with a code.
    Invalid(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Only workflows have these limits.
            Self::TimedOut { kind: kind @ (TimeoutKind::Run | TimeoutKind::Execution), .. } => {
                write!(f, "workflow timed out ({kind})")
            }
            Self::TimedOut { kind, .. } => write!(f, "activity timed out ({kind})"),
            // An activity's or a child's.
            Self::Cancelled => f.write_str("call was cancelled"),
            Self::Panicked(message) => write!(f, "activity panicked: {message}"),
            Self::WorkerLost => f.write_str("the activity's worker was lost and no attempt is left"),
            Self::Terminated => f.write_str("workflow was terminated"),
            Self::IdTaken(id) => write!(f, "workflow id `{id}` is taken by another run"),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

// Written by hand: the source is the error itself and not its box, so that it can be downcast.
impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut { cause, .. } => cause.as_deref().map(|cause| cause as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

impl<E> From<CallError> for ActivityError<E> {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut { kind, cause } => {
                Self::TimedOut { kind, cause: cause.map(|cause| Box::new(Self::from(*cause))) }
            }
            CallError::Cancelled => Self::Cancelled,
            CallError::Panicked(message) => Self::Panicked(message),
            CallError::WorkerLost => Self::WorkerLost,
            CallError::Invalid(text) => Self::Invalid(text),
            child @ (CallError::Terminated | CallError::IdTaken(_)) => Self::Invalid(child.to_string()),
        }
    }
}

impl<E> From<CallError> for ChildError<E> {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TimedOut { kind, .. } => Self::TimedOut(kind),
            CallError::Cancelled => Self::Cancelled,
            CallError::Terminated => Self::Terminated,
            CallError::IdTaken(id) => Self::IdTaken(id),
            CallError::Invalid(text) => Self::Invalid(text),
            activity @ (CallError::Panicked(_) | CallError::WorkerLost) => {
                Self::Invalid(activity.to_string())
            }
        }
    }
}

impl<E: Fault> fmt::Display for ChildError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::TimedOut(kind) => write!(f, "workflow timed out ({kind})"),
            Self::Cancelled => f.write_str("workflow was cancelled"),
            Self::Terminated => CallError::Terminated.fmt(f),
            Self::IdTaken(id) => CallError::IdTaken(id.clone()).fmt(f),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

// As for `ActivityError`: `Failure` is not an `Error`.
impl<E: Fault> Error for ChildError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.cause(),
            _ => None,
        }
    }
}

impl<E: Fault> fmt::Display for ActivityError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::TimedOut { kind, .. } => CallError::TimedOut { kind: *kind, cause: None }.fmt(f),
            Self::Cancelled => f.write_str("activity was cancelled"),
            Self::Panicked(message) => write!(f, "activity panicked: {message}"),
            Self::WorkerLost => CallError::WorkerLost.fmt(f),
            Self::Invalid(text) => f.write_str(text),
        }
    }
}

// The bound is `Fault` and not `Error`, because `Failure` is not an `Error` and `?` must still work on its
// calls.
impl<E: Fault> Error for ActivityError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.cause(),
            Self::TimedOut { cause, .. } => cause.as_deref().map(|cause| cause as &(dyn Error + 'static)),
            _ => None,
        }
    }
}

/// The error of a message from workflow code to another workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The workflow of this id has no open run: it does not exist, or it has ended.
    #[error("workflow `{0}` is not running")]
    NotRunning(String),
    /// The engine refused the message, and nothing was sent. The text begins with a code.
    #[error("{0}")]
    Invalid(String),
}

/// A `workflow::timeout` or `until!(..).timeout(..)` ran out before its future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

impl Failure {
    /// Returns the failure if the error is one, or if it is the failure of an activity or a child.
    pub(crate) fn within(error: &dyn Any) -> Option<&Self> {
        if let Some(ChildError::Failed(failure)) = error.downcast_ref::<ChildError<Self>>() {
            return Some(failure);
        }
        match error.downcast_ref::<ActivityError<Self>>() {
            Some(ActivityError::Failed(failure)) => Some(failure),
            _ => error.downcast_ref(),
        }
    }
}

#[test]
fn a_text_names_what_it_is_about() {
    let timed_out = |kind| CallError::TimedOut { kind, cause: None }.to_string();
    assert_eq!(timed_out(TimeoutKind::Run), "workflow timed out (run)");
    assert_eq!(timed_out(TimeoutKind::StartToClose), "activity timed out (start-to-close)");
    assert_eq!(CallError::Cancelled.to_string(), "call was cancelled", "an activity's, or a child's");
    assert_eq!(ActivityError::<Failure>::Cancelled.to_string(), "activity was cancelled");
    assert_eq!(ChildError::<Failure>::Cancelled.to_string(), "workflow was cancelled");
}
