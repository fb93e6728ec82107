//! The status of an execution: one enum for the database, the engine and the public API.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The status of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ExecutionStatus {
    /// Running or waiting.
    Running,
    /// Stopped by the engine for a reason that can be fixed. Resume it after the fix.
    Suspended,
    /// `run` returned a value.
    Completed,
    /// `run` returned an error.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// It was terminated.
    Terminated,
    /// It ended as another run of the same workflow id goes on (`workflow::continue_as_new`).
    ContinuedAsNew,
    /// Its time limit, or that of its chain of runs, ran out.
    TimedOut,
    /// A status that a newer release of abide has written, with its number in the database.
    /// [`is_open`](Self::is_open) works for it too: numbers below 10 are open.
    Newer(i64),
}

impl ExecutionStatus {
    /// Whether it can still run.
    pub const fn is_open(self) -> bool {
        self.code() < 10
    }

    /// The number in the database. Its meaning never changes. Reserved: 2 for paused, 30 for being deleted, 31 for
    /// being imported.
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Running => 0,
            Self::Suspended => 1,
            Self::Completed => 10,
            Self::Failed => 11,
            Self::Cancelled => 12,
            Self::Terminated => 13,
            Self::ContinuedAsNew => 14,
            Self::TimedOut => 15,
            Self::Newer(code) => code,
        }
    }

    /// The status for a number of the database.
    pub(crate) const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Running,
            1 => Self::Suspended,
            10 => Self::Completed,
            11 => Self::Failed,
            12 => Self::Cancelled,
            13 => Self::Terminated,
            14 => Self::ContinuedAsNew,
            15 => Self::TimedOut,
            code => Self::Newer(code),
        }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Suspended => "suspended",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Terminated => "terminated",
            Self::ContinuedAsNew => "continued as new",
            Self::TimedOut => "timed out",
            Self::Newer(code) => return f.pad(&format!("status {code} of a newer release")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_status_and_tells_whether_it_is_open() {
        for code in -1..40 {
            let status = ExecutionStatus::from_code(code);
            assert_eq!(status.code(), code);
            assert_eq!(status.is_open(), code < 10);
        }
        assert_eq!(ExecutionStatus::Newer(16).to_string(), "status 16 of a newer release");
    }
}
