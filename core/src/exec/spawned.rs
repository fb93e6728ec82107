//! Tasks that a poll has made.

use super::waker::TaskId;
use crate::future::LocalBoxFuture;

/// The purpose of a task. It decides what its end and a cancellation mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// The workflow's `run`.
    Main,
    /// An async handler, of a signal or an update, with its name.
    Handler { of: &'static str, name: String },
    /// A task of `workflow::spawn`.
    Spawned,
    /// The task that runs the compensations.
    Compensation,
}

impl TaskKind {
    /// Whether it is the handler of a message, which the end of `run` drops.
    pub(crate) fn is_handler(&self) -> bool {
        matches!(self, Self::Handler { .. })
    }
}

/// A task to add, made during a poll.
pub(crate) struct Spawned {
    pub(crate) id: TaskId,
    pub(crate) kind: TaskKind,
    pub(crate) future: LocalBoxFuture<()>,
}
