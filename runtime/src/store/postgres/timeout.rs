//! Answers that never come: a server, or the way to it, that is gone refuses nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When a call last timed out without an answer. Pooled connections as old as that lead to the same server,
/// and are not tried one by one.
#[derive(Debug, Default)]
pub(super) struct LastTimeout(Mutex<Option<Instant>>);

impl LastTimeout {
    /// A call timed out now.
    pub(super) fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age was opened after the last timeout.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_none_or(|at| at.elapsed() > age)
    }
}
