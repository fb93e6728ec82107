//! How a workflow ended, for its caller: converts the closing event to `Result<T, WorkflowError<E>>`.
//!
//! The closing event comes from memory or from the execution's row. Only this module decodes it.

use crate::error::Error;
use crate::store::{StoreError, Suspension};
use abide_core::{
    Code, Event, ExecutionId, FailureKind, FailureRecord, Fault, Outcome, TimeoutKind, write_causes,
};
use std::error::Error as _;
use std::fmt;

/// Why [`result()`](crate::HandleCore::result) returned no value.
///
/// ```
/// use abide::{Failure, WorkflowError};
/// fn retry_worthwhile(error: &WorkflowError<Failure>) -> bool {
///     match error {
///         WorkflowError::Failed(failure) => failure.is_retryable(),
///         WorkflowError::Suspended(reason) => reason.code() == "AB0206",
///         _ => false,
///     }
/// }
/// ```
///
/// The `Debug` output, which `main` and `unwrap()` print, is the text and the causes, one per line, with each
/// compensation that failed.
#[non_exhaustive]
pub enum WorkflowError<E> {
    /// `run` returned this error.
    Failed(E),
    /// It was cancelled.
    Cancelled,
    /// It was terminated from outside.
    Terminated,
    /// A time limit of its own ran out: that of the run, or that of the whole execution, its retries included.
    TimedOut {
        /// Which limit.
        kind: TimeoutKind,
    },
    /// It cannot continue until its cause is fixed and it is resumed. Wait for the result again after that.
    Suspended(Reason),
    /// It ended as `error` says, and in addition some compensations of its sagas failed: their steps are not
    /// undone. This is separate from [`WorkflowError::Failed`], so that such an end is not mistaken for a
    /// clean one.
    NotCompensated {
        /// How it ended: [`WorkflowError::Failed`] or [`WorkflowError::Cancelled`].
        error: Box<WorkflowError<E>>,
        /// The compensations' failures, in the order in which they ran.
        failures: Vec<FailureRecord>,
    },
    /// The result could not be read. This says nothing about the execution.
    Client(Error),
}

impl<E> WorkflowError<E> {
    /// The compensations that failed, in the order in which they ran. Empty for a clean end.
    pub fn compensation_failures(&self) -> &[FailureRecord] {
        match self {
            Self::NotCompensated { failures, .. } => failures,
            _ => &[],
        }
    }

    /// How it ended, without the failures of its compensations: never [`WorkflowError::NotCompensated`].
    pub fn into_end(self) -> Self {
        match self {
            Self::NotCompensated { error, .. } => error.into_end(),
            other => other,
        }
    }

    fn with(self, failures: &[FailureRecord]) -> Self {
        if failures.is_empty() {
            return self;
        }
        Self::NotCompensated { error: Box::new(self), failures: failures.to_vec() }
    }
}

impl<E> From<Error> for WorkflowError<E> {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl<E: Fault> fmt::Display for WorkflowError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::Cancelled => f.write_str("workflow was cancelled"),
            Self::Terminated => f.write_str("workflow was terminated"),
            Self::TimedOut { kind } => write!(f, "workflow timed out ({kind})"),
            Self::Suspended(reason) => write!(f, "workflow is suspended: {reason}"),
            Self::NotCompensated { error, failures } => {
                write!(f, "{error} (and {} of its compensations failed)", failures.len())
            }
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<E: Fault> fmt::Debug for WorkflowError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, self, self.source())?;
        let failures = self.compensation_failures();
        failures.iter().try_for_each(|failure| write!(f, "\n  not compensated: {failure}"))
    }
}

// Bound on `Fault`, not on `Error`: `Failure` does not implement `Error`, and `?` must still work on its
// results.
impl<E: Fault> std::error::Error for WorkflowError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.cause(),
            Self::NotCompensated { error, .. } => error.source(),
            Self::Client(error) => error.source(),
            _ => None,
        }
    }
}

/// Why an execution is suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) build: String,
}

impl Reason {
    /// The reason in a suspended execution's row.
    pub(crate) fn of(suspension: Option<&Suspension>) -> Self {
        match suspension {
            Some(known) => {
                Self { code: known.code.clone(), message: known.message.clone(), build: known.build.clone() }
            }
            None => Self {
                code: Code::DatabaseError.into(),
                message: "no reason was recorded".into(),
                build: String::new(),
            },
        }
    }

    /// The code: one of `AB02xx`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What happened, where, and what to do. Without the code.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The build of the worker that suspended it.
    pub fn build(&self) -> &str {
        &self.build
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// Decodes the outcome of a closed execution from its closing event.
pub(crate) fn of_close<O: Outcome>(
    execution: ExecutionId,
    close: &Event,
) -> Result<O::Ok, WorkflowError<O::Err>> {
    match close {
        Event::Completed { result } => result.decode().map_err(|e| Error::from(e).into()),
        Event::Failed { failure, compensation_failures, .. } => {
            Err(failed(failure).with(compensation_failures))
        }
        Event::Cancelled { compensation_failures, .. } => {
            Err(WorkflowError::Cancelled.with(compensation_failures))
        }
        Event::Terminated { .. } => Err(WorkflowError::Terminated),
        Event::TimedOut { kind, .. } => Err(WorkflowError::TimedOut { kind: *kind }),
        other => Err(not_a_close(execution, other)),
    }
}

fn failed<E: Fault>(failure: &FailureRecord) -> WorkflowError<E> {
    match failure.kind {
        FailureKind::TimedOut(kind) => WorkflowError::TimedOut { kind },
        // The engine refused the value that `run` returned. The text begins with its own code.
        FailureKind::Invalid => {
            let own = [Code::PayloadTooLarge, Code::Unreadable, Code::ReadsBackChanged];
            let code = Code::split(&failure.message).map(|(code, _)| code).filter(|code| own.contains(code));
            let code = code.unwrap_or(Code::Unencodable).as_str();
            Error::ResultRefused { code, message: failure.message.clone() }.into()
        }
        _ => E::from_record(failure).map_or_else(|error| Error::from(error).into(), WorkflowError::Failed),
    }
}

fn not_a_close<E>(execution: ExecutionId, event: &Event) -> WorkflowError<E> {
    let message = format!("its result is no closing event: it is {}", event.describe());
    Error::from(StoreError::Damaged { execution, message }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::{Failure, Payload, Sel};

    type Ended = Result<u32, WorkflowError<Failure>>;

    fn of(close: &Event) -> Ended {
        of_close::<Sel<Result<u32, Failure>, true>>(ExecutionId(1), close)
    }

    fn told(ended: Ended) -> String {
        ended.map_or_else(|error| error.to_string(), |value| value.to_string())
    }

    fn failing(failure: FailureRecord, compensations: usize) -> Event {
        let compensation_failures =
            vec![FailureRecord::new(FailureKind::Application, "stuck"); compensations];
        Event::Failed { failure, compensation_failures, next: None }
    }

    #[test]
    fn each_end_is_told_as_what_it_is() {
        let declined = Failure::new("declined").to_record().unwrap();
        assert_eq!(told(of(&Event::Completed { result: Payload::encode(&7).unwrap() })), "7");
        assert_eq!(told(of(&failing(declined.clone(), 0))), "declined");
        let refused = FailureRecord::new(FailureKind::Invalid, "AB0405: too large");
        assert!(matches!(of(&failing(refused, 0)), Err(WorkflowError::Client(e)) if e.code() == "AB0405"));
        let wrong = Event::Completed { result: Payload::encode("text").unwrap() };
        assert!(matches!(of(&wrong), Err(WorkflowError::Client(e)) if e.code() == "AB0404"));
        assert!(matches!(of(&Event::Terminated { reason: "r".into() }), Err(WorkflowError::Terminated)));
        let timed_out = of(&Event::TimedOut { kind: TimeoutKind::Execution, next: None });
        assert!(matches!(timed_out, Err(WorkflowError::TimedOut { kind: TimeoutKind::Execution })));
        assert_eq!(told(timed_out), "workflow timed out (execution)");
        assert!(matches!(
            of(&Event::TimerFired { timer: abide_core::EventId(2) }),
            Err(WorkflowError::Client(_))
        ));

        let error = of(&failing(declined, 2)).unwrap_err();
        assert_eq!(error.to_string(), "declined (and 2 of its compensations failed)");
        assert_eq!(error.compensation_failures().len(), 2);
        assert!(matches!(error.into_end(), WorkflowError::Failed(_)));
    }
}
