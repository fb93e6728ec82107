//! The code of each error.

use super::Error;
use abide_core::Code;

impl Error {
    /// The error's code, which is the name of its page in `docs/errors/`.
    pub fn code(&self) -> &'static str {
        let code = match self {
            Self::WorkflowIdTaken { .. } => Code::WorkflowIdTaken,
            Self::IdReuseRefused { .. } => Code::IdReuseRefused,
            Self::Payload(error) => return error.code(),
            Self::ResultRefused { code, .. } | Self::StartRefused { code, .. } => return code,
            Self::NoSuchExecution { .. } => Code::NoSuchExecution,
            Self::NoSuchSchedule { .. } => Code::NoSuchSchedule,
            Self::ScheduleExists { .. } => Code::ScheduleExists,
            Self::ScheduleRefused { .. } => Code::ScheduleSpec,
            Self::ExecutionClosed { .. } => Code::ExecutionClosed,
            Self::UnknownQuery { .. } => Code::UnknownQuery,
            Self::QueryFailed { .. } => Code::QueryFailed,
            Self::OutcomeUnknown { .. } => Code::OutcomeUnknown,
            Self::NoTaskQueue { .. } => Code::NoTaskQueue,
            Self::InvalidId { .. } | Self::ReservedId { .. } => Code::InvalidId,
            Self::QueryTimeout { .. } => Code::QueryTimeout,
            Self::NotSuspended { .. } => Code::NotSuspended,
            Self::TypeMismatch { .. } => Code::TypeMismatch,
            Self::ActivityToken(error) => return error.code(),
            Self::StreamBehind { .. } => Code::StreamBehind,
            Self::UnknownDatabase { .. } => Code::UnknownDatabase,
            Self::Store(failure) => return failure.code(),
            Self::NothingRegistered { .. } | Self::RegisteredTwice { .. } => Code::Registration,
            Self::WorkerStopped { .. } => Code::WorkerStopped,
            Self::WrongDatabase { .. } => Code::WrongDatabase,
            Self::NoTestEnvironment { .. } => Code::NoTestEnvironment,
            Self::NotWithin => Code::NotWithin,
            Self::NothingLeft { .. } => Code::NothingLeft,
            Self::RetriedWithoutEnd { .. } => Code::RetriedWithoutEnd,
            Self::Standstill { .. } => Code::Standstill,
            Self::HistoryFormat { .. } => Code::OtherRelease,
            Self::HistoryUnusable { .. } => Code::HistoryUnusable,
        };
        code.as_str()
    }
}
