//! Classifies Postgres's errors: try again, never, unknown, and those that our own statements raise.
//!
//! The statements raise by casting a word of ours to a number; the word comes back in the message. What the
//! server says of itself (shutting down, starting up, in recovery) counts as a broken connection: the outcome
//! is read back from the server that answers next.

use crate::store::StoreError;
use crate::store::failure::{Failed, Kind};
use sqlx::Error;
use std::sync::Arc;
use std::time::Duration;

/// An owner's lease row is gone.
pub(super) const FENCED: &str = "abide_fenced";
/// An attempt was decided otherwise.
pub(super) const CONFLICT: &str = "abide_conflict";
/// An execution is not its owner's any more.
pub(super) const LOST: &str = "abide_lost";

/// Tells errors apart by their SQLSTATE.
pub(super) fn kind(error: &Error) -> Kind {
    match error {
        Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            of_state(&code, error.message(), error.constraint())
        }
        Error::PoolTimedOut => Kind::Busy,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::TypeNotFound { .. } | Error::Encode(_) => {
            Kind::Other
        }
        Error::Configuration(_) => Kind::CannotOpen,
        _ => Kind::Broken,
    }
}

fn of_state(code: &str, message: &str, constraint: Option<&str>) -> Kind {
    match code {
        "22P02" if message.contains(FENCED) => Kind::Fenced,
        "22P02" if message.contains(CONFLICT) => Kind::Conflict,
        "22P02" if message.contains(LOST) => Kind::Lost,
        // A partition's key has a name of its own; the other keys that a batch can meet are told by `ON CONFLICT`.
        "23505" if constraint.is_some_and(|key| key.ends_with("_pkey") && key != "task_pkey") => {
            Kind::Duplicate
        }
        // Serialization, deadlock, a lock not had in time, a statement's time limit, no room for another
        // connection or lock.
        "40001" | "40P01" | "55P03" | "57014" | "53300" | "53200" => Kind::Busy,
        "53100" => Kind::Full,
        // A standby, or a primary that was told to be read-only: somebody else may be the primary now.
        // Idle too long within a transaction: the server has ended the session.
        "25006" | "25P03" => Kind::Broken,
        // The user's own transaction: none, or one that has failed already, or without our savepoint.
        "25P01" | "25P02" | "3B001" => Kind::Refused,
        // The server ends, starts, or has lost us; its disk failed, which makes it end.
        "58030" => Kind::Broken,
        // No such database, no such role, wrong password.
        "3D000" | "28000" | "28P01" => Kind::CannotOpen,
        _ => match code.get(..2) {
            Some("08" | "57") => Kind::Broken,
            Some("22" | "23" | "54") => Kind::Refused,
            _ => Kind::Other,
        },
    }
}

/// The store's error for a call's error. `waited`: how long something was waited for.
pub(super) fn store_error(name: &str, error: Error, waited: Duration) -> StoreError {
    let message = error.to_string();
    let kind = kind(&error);
    let path = name.to_owned();
    let source = Some(Arc::new(error) as Arc<dyn std::error::Error + Send + Sync>);
    match kind {
        Kind::Busy if waited.is_zero() => StoreError::Conflicting { message },
        Kind::Busy => StoreError::Busy { path, waited },
        Kind::Full => StoreError::Full { path },
        Kind::CannotOpen => StoreError::Open { path, message, source },
        Kind::Fenced => StoreError::Fenced,
        Kind::Broken => StoreError::Unknown { message },
        _ => StoreError::Database { path, message, source },
    }
}

/// The same for the group commit.
pub(super) fn failed(name: &str, error: Error) -> Failed {
    Failed { kind: kind(&error), error: store_error(name, error, Duration::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let raised = |word: &str| format!("invalid input syntax for type integer: \"{word}\"");
        assert_eq!(of_state("22P02", &raised(FENCED), None), Kind::Fenced);
        assert_eq!(of_state("22P02", &raised(CONFLICT), None), Kind::Conflict);
        assert_eq!(of_state("22P02", &raised(LOST), None), Kind::Lost);
        assert_eq!(of_state("22P02", &raised("seven"), None), Kind::Refused);
        assert_eq!(of_state("23505", "", Some("journal_pkey")), Kind::Duplicate);
        assert_eq!(of_state("23505", "", Some("inbox_request")), Kind::Refused);
        for busy in ["40001", "40P01", "55P03", "57014", "53300"] {
            assert_eq!(of_state(busy, "", None), Kind::Busy, "{busy}");
        }
        for broken in ["57P01", "57P02", "57P03", "08006", "25006", "25P03", "58030"] {
            assert_eq!(of_state(broken, "", None), Kind::Broken, "{broken}");
        }
        assert_eq!(of_state("42P01", "", None), Kind::Other);
        assert_eq!(of_state("22021", "", None), Kind::Refused, "a NUL in a text");
    }
}
