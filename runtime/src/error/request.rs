//! What callers of requests ask an error.

use super::{Error, StoreFailure};
use crate::store::StoreError;
use abide_core::Code;

impl Error {
    /// Converts a store error of a request that can be repeated.
    pub(crate) fn of_request(error: StoreError, request_id: &str) -> Self {
        match error {
            StoreError::Unknown { message } => {
                Self::OutcomeUnknown { request_id: request_id.to_owned(), message }
            }
            other => other.into(),
        }
    }

    /// Whether the operation may or may not have happened.
    pub(crate) fn is_unknown(&self) -> bool {
        self.code() == Code::OutcomeUnknown
    }

    /// Whether a worker lost its lease during the operation: nothing was written, and another worker or the
    /// store may take it.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(StoreFailure(StoreError::Fenced)))
    }
}
