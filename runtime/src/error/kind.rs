//! The kind of an error, for code that decides by it: an HTTP status, or whether a retry may help.

use super::{Error, TokenError};
use crate::store::StoreError;
use abide_core::PayloadError;

/// The kind of an [`Error`]: [`Error::kind`].
///
/// ```
/// use abide::ErrorKind;
/// assert_eq!(ErrorKind::NotFound.http_status(), 404);
/// assert_eq!(ErrorKind::Unavailable.http_status(), 503);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no execution with this id.
    NotFound,
    /// The execution is not in the state that the call needs: for example, its id is taken, or it has closed.
    Conflict,
    /// The call itself is refused, and a repeated call would be too: an id that is too long, a value that is
    /// too large.
    Refused,
    /// The operation is not possible now: the database cannot be written, no worker has answered, or the
    /// outcome of a commit is unknown. The same call may succeed later. With its request id it never takes
    /// effect twice.
    Unavailable,
    /// The program, its worker or its database is in a wrong state. An operator must look at it.
    Internal,
}

impl ErrorKind {
    /// The HTTP status for this kind: 404, 409, 422, 503 or 500.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Refused => 422,
            Self::Unavailable => 503,
            Self::Internal => 500,
        }
    }
}

impl Error {
    /// The kind of the error, so that callers need not know the codes or match on texts.
    ///
    /// ```
    /// # async fn status(client: abide::Client) -> u16 {
    /// match client.execution("order-42").describe().await {
    ///     Ok(_) => 200,
    ///     Err(error) => error.kind().http_status(),
    /// }
    /// # }
    /// ```
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSuchExecution { .. } | Self::NoSuchSchedule { .. } => ErrorKind::NotFound,
            Self::WorkflowIdTaken { .. }
            | Self::IdReuseRefused { .. }
            | Self::ExecutionClosed { .. }
            | Self::NotSuspended { .. }
            | Self::ScheduleExists { .. }
            | Self::TypeMismatch { .. }
            | Self::StreamBehind { .. } => ErrorKind::Conflict,
            Self::Payload(PayloadError::Decode { .. }) => ErrorKind::Internal,
            Self::Payload(_)
            | Self::InvalidId { .. }
            | Self::ReservedId { .. }
            | Self::StartRefused { .. }
            | Self::ScheduleRefused { .. }
            | Self::UnknownQuery { .. }
            | Self::NotWithin => ErrorKind::Refused,
            Self::OutcomeUnknown { .. } | Self::QueryTimeout { .. } | Self::WorkerStopped { .. } => {
                ErrorKind::Unavailable
            }
            Self::ActivityToken(TokenError::Void { .. } | TokenError::Cancelled { .. }) => {
                ErrorKind::Conflict
            }
            Self::ActivityToken(_) => ErrorKind::Refused,
            Self::Store(failure) => failure.0.kind(),
            Self::ResultRefused { .. }
            | Self::QueryFailed { .. }
            | Self::NoTaskQueue { .. }
            | Self::UnknownDatabase { .. }
            | Self::NothingRegistered { .. }
            | Self::RegisteredTwice { .. }
            | Self::WrongDatabase { .. }
            | Self::NoTestEnvironment { .. }
            | Self::NothingLeft { .. }
            | Self::RetriedWithoutEnd { .. }
            | Self::Standstill { .. }
            | Self::HistoryFormat { .. }
            | Self::HistoryUnusable { .. } => ErrorKind::Internal,
        }
    }
}

impl StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open { .. }
            | Self::Busy { .. }
            | Self::Full { .. }
            | Self::Unreachable { .. }
            | Self::Conflicting { .. }
            | Self::Fenced
            | Self::Unknown { .. }
            | Self::Closed => ErrorKind::Unavailable,
            Self::InsideTransaction
            | Self::WrongConnection { .. }
            | Self::CommitRefused { .. }
            | Self::BadRow { .. } => ErrorKind::Refused,
            Self::ReadOnly { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Io { .. }
            | Self::Network { .. }
            | Self::Pooler { .. }
            | Self::Behind { .. }
            | Self::TooLong { .. }
            | Self::TransactionEnded { .. }
            | Self::Migration { .. }
            | Self::Database { .. }
            | Self::Damaged { .. }
            | Self::NewerHistory { .. } => ErrorKind::Internal,
        }
    }
}
