//! Kinds of failed calls, the same for all databases, and the failures that tests inject.

use super::{Fault, FaultHook, Stage, StoreError};
use std::time::Duration;

/// What an error means for its call.
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code))] // each store has some of its own
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Raised by the fence.
    Fenced,
    /// Raised by the check before a close, or of an attempt's token.
    Conflict,
    /// Raised where an execution changed hands.
    Lost,
    /// The journal has a row with this execution and seq.
    Duplicate,
    /// Another program has the lock, or the database aborted the transaction. A retry may succeed.
    Busy,
    /// No room on the disk.
    Full,
    /// The file or file system is read-only.
    ReadOnly,
    /// The disk failed; its content is unknown.
    Io,
    /// Not a database.
    NotADatabase,
    /// The database cannot be opened.
    CannotOpen,
    /// The database refuses what it was given.
    Refused,
    /// The connection broke: the outcome is unknown.
    Broken,
    /// Damaged, out of memory, misuse: the store cannot go on.
    Other,
}

/// A failed attempt.
pub(crate) struct Failed {
    pub(crate) kind: Kind,
    pub(crate) error: StoreError,
}

/// Fails if a test's hook injects a fault at this stage. `name`: the database's name in errors.
pub(crate) fn fault(hook: Option<&FaultHook>, stage: Stage, name: &str) -> Result<(), Failed> {
    hook.and_then(|hook| hook(stage)).map_or(Ok(()), |fault| Err(injected(fault, name)))
}

/// The error of an injected fault.
pub(crate) fn injected(fault: Fault, name: &str) -> Failed {
    let (path, message) = (name.to_owned(), "injected".to_owned());
    let (kind, error) = match fault {
        Fault::Lost => (Kind::Broken, StoreError::Unknown { message }),
        Fault::Busy => (Kind::Busy, StoreError::Busy { path, waited: Duration::ZERO }),
        Fault::Full => (Kind::Full, StoreError::Full { path }),
        Fault::ReadOnly => (Kind::ReadOnly, StoreError::ReadOnly { path }),
        Fault::Fsync => (Kind::Io, StoreError::Io { path, message, source: None }),
    };
    Failed { kind, error }
}
