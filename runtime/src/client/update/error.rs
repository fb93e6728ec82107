//! Why an update has no answer.

use crate::error::Error;
use crate::outcome::Reason;
use abide_core::{Code, Fault, write_causes};
use std::fmt;

/// Why an update has no answer. Its `Debug` output is its text and its causes, one per line.
#[non_exhaustive]
pub enum UpdateError<E> {
    /// Its validator refused it with this error. Nothing of it was written.
    Rejected(E),
    /// Its handler returned this error.
    Failed(E),
    /// The run ended before its handler did (`AB0420`). Half of the handler may have had effects, and it is
    /// never run again.
    Aborted {
        /// The run id of the run that follows, if one does.
        next: Option<String>,
    },
    /// The run is closed and has not accepted it (`AB0407`).
    Closed,
    /// The run is suspended (`AB0421`). The update stays in its inbox and is taken in after the resume.
    Suspended(Reason),
    /// The run has 100 open updates, or has accepted 2,000 (`AB0422`).
    TooMany,
    /// The run has accepted no update of this request id (`AB0440`).
    Unknown,
    /// The worker cannot run it (`AB0441`): its build has no such update, the arguments do not decode there,
    /// or the validator panicked. History has nothing of it.
    Refused(String),
    /// The client's error. It says nothing about the update.
    Client(Error),
}

impl<E> UpdateError<E> {
    /// The workflow's own error: of the validator or of the handler.
    pub fn said(&self) -> Option<&E> {
        match self {
            Self::Rejected(error) | Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> From<Error> for UpdateError<E> {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl<E: Fault> fmt::Display for UpdateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) | Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::Aborted { .. } => {
                write!(f, "{}: the run ended before the handler of the update did", Code::UpdateAborted)
            }
            Self::Closed => {
                write!(f, "{}: the run is closed and takes no more updates", Code::ExecutionClosed)
            }
            Self::Suspended(reason) => write!(
                f,
                "{}: the update waits until its run, which is suspended, is resumed: {reason}",
                Code::UpdateWaits
            ),
            Self::TooMany => write!(
                f,
                "{}: the run has 100 open updates or has accepted 2,000: wait for some, or let another run go on",
                Code::TooManyUpdates
            ),
            Self::Unknown => {
                write!(f, "{}: the run has accepted no update of this request id", Code::NoSuchUpdate)
            }
            Self::Refused(why) => write!(f, "{}: the update was refused: {why}", Code::UpdateRefused),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<E: Fault> fmt::Debug for UpdateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, self, std::error::Error::source(self))
    }
}

impl<E: Fault> std::error::Error for UpdateError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(error) | Self::Failed(error) => error.cause(),
            Self::Client(error) => error.source(),
            _ => None,
        }
    }
}
