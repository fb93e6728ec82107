//! Classifies SQLite's errors: try again, never, unknown, and those that our own statements raise.
//!
//! The batch's statements raise by asking `json_extract` for a path that is none, since SQLite has no `RAISE`
//! outside triggers; the path's text names the reason and comes back in the message.

use crate::store::StoreError;
use crate::store::failure::Kind;
use sqlx::Error;
use sqlx::error::DatabaseError;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An owner's lease row is gone.
pub(super) const FENCED: &str = "abide_fenced";
/// A message waits for an execution that would close, or an attempt was decided otherwise.
pub(super) const CONFLICT: &str = "abide_conflict";
/// An execution is not its owner's any more.
pub(super) const LOST: &str = "abide_lost";

/// Tells errors apart by SQLite's primary result code (the low byte), and by our own words in the message.
pub(super) fn kind(error: &Error) -> Kind {
    let Error::Database(error) = error else { return Kind::Broken };
    match extended_code(error.as_ref()) & 0xff {
        5 | 6 | 15 => Kind::Busy,
        8 => Kind::ReadOnly,
        // The WAL's index could not grow (SHMSIZE, SHMMAP): a full disk, told in another way.
        10 if matches!(extended_code(error.as_ref()), 4874 | 5386) => Kind::Full,
        10 => Kind::Io,
        13 => Kind::Full,
        14 => Kind::CannotOpen,
        26 => Kind::NotADatabase,
        19 if error.message().contains("journal.execution, journal.seq") => Kind::Duplicate,
        1 => raised(error.message()),
        18 | 19 | 20 | 25 => Kind::Refused,
        _ => Kind::Other,
    }
}

fn raised(message: &str) -> Kind {
    match message {
        m if m.contains(FENCED) => Kind::Fenced,
        m if m.contains(CONFLICT) => Kind::Conflict,
        m if m.contains(LOST) => Kind::Lost,
        _ => Kind::Refused,
    }
}

/// Whether a transaction cannot write because what it has read is not the newest any more.
pub(super) fn is_snapshot(error: &Error) -> bool {
    matches!(error, Error::Database(error) if extended_code(error.as_ref()) == 517)
}

fn extended_code(error: &dyn DatabaseError) -> i64 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or(1)
}

/// The store's error for a call's error. `waited`: how long a lock was waited for.
pub(super) fn store_error(path: &Path, error: Error, waited: Duration) -> StoreError {
    let message = error.to_string();
    let kind = kind(&error);
    let path = path.display().to_string();
    let source = Some(Arc::new(error) as Arc<dyn std::error::Error + Send + Sync>);
    match kind {
        Kind::Busy => StoreError::Busy { path, waited },
        Kind::Full => StoreError::Full { path },
        Kind::ReadOnly => StoreError::ReadOnly { path },
        Kind::Io => StoreError::Io { path, message, source },
        Kind::NotADatabase => StoreError::Foreign { path, message: "it is not an SQLite file".to_owned() },
        Kind::CannotOpen => StoreError::Open { path, message, source },
        Kind::Fenced => StoreError::Fenced,
        Kind::Broken => StoreError::Unknown { message },
        Kind::Conflict | Kind::Lost | Kind::Duplicate | Kind::Refused | Kind::Other => {
            StoreError::Database { path, message, source }
        }
    }
}
