//! Errors of a store. They are for operators: none may become a workflow's outcome.

use abide_core::{Code, ExecutionId};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The error beneath, shared: every append of a batch gets the error of its commit.
pub(crate) type Source = Arc<dyn std::error::Error + Send + Sync>;

/// A store's error; each has a code.
#[derive(Clone, Debug, thiserror::Error)]
#[cfg_attr(not(all(feature = "sqlite", feature = "postgres")), allow(dead_code))] // each store has some of its own
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The path or its folder cannot be opened.
    #[error("cannot open the database `{path}`: {message}")]
    Open {
        path: String,
        message: String,
        #[source]
        source: Option<Source>,
    },
    /// The file or its folder cannot be written.
    #[error("the database `{path}` is read-only: abide needs to write it and its folder")]
    ReadOnly { path: String },
    /// Another program holds the database's lock.
    #[error(
        "the database `{path}` was locked by another program for {} s: close the tool that holds a transaction open",
        waited.as_secs()
    )]
    Busy { path: String, waited: Duration },
    /// No room.
    #[error("the disk of the database `{path}` is full: make room; what was acknowledged is safe")]
    Full { path: String },
    /// Not an SQLite file, or the file of another program.
    #[error("`{path}` is not a database of abide: {message}")]
    Foreign { path: String, message: String },
    /// Written by a later abide.
    #[error("the database `{path}` has schema {found}, this build knows up to {known}: run a newer build")]
    Newer { path: String, found: i64, known: i64 },
    /// The disk failed to make a commit durable. The worker must stop; nothing is retried.
    #[error("the disk failed under the database `{path}`: {message}: this process must not go on writing")]
    Io {
        path: String,
        message: String,
        #[source]
        source: Option<Source>,
    },
    /// On a network file system, whose locks cannot be trusted.
    #[error("the database `{path}` is on a network file system ({kind}): SQLite's locks are not safe there")]
    Network { path: String, kind: String },
    /// The server does not answer, or has no connection left.
    #[error("the database `{path}` cannot be reached: {message}")]
    Unreachable { path: String, message: String },
    /// Between this process and the server is a pooler that gives each transaction another session.
    #[error(
        "the database `{path}` is reached through a pooler in transaction mode: sessions must last; use the \
         server's own port, or a pool in session mode"
    )]
    Pooler { path: String },
    /// The schema is older than this build needs, and was not to be migrated.
    #[error(
        "the database `{path}` has schema version {found}, this build needs {known}: apply what \
         `pending_migrations()` gives, or open it with `.migrate(true)`"
    )]
    Behind { path: String, found: i64, known: i64 },
    /// The database aborted a transaction (serialization, deadlock, a statement's time limit). A retry may succeed.
    #[error("the database aborted the transaction: {message}")]
    Conflicting { message: String },
    /// A transactional activity on SQLite, which holds the write lock, called the engine.
    #[error("a transactional activity holds the database: call the engine before or after it, not inside")]
    InsideTransaction,
    /// A transactional activity held SQLite's write lock for too long.
    #[error(
        "the transaction of the activity did not end within {} ms, and nothing else could write the database \
         meanwhile: do the slow part in another activity before it",
        limit.as_millis()
    )]
    TooLong { limit: Duration },
    /// The body of a transactional activity has ended the engine's transaction.
    #[error(
        "the body of the activity ended the engine's transaction ({message}): what it committed stays, \
         and the engine had written nothing in it; use `tx.begin()` for a transaction within, never \
         `COMMIT` or `ROLLBACK`"
    )]
    TransactionEnded { message: String },
    /// The user's own rows forbid the commit: a constraint that is checked at the end.
    #[error("the database refused the commit of the activity's transaction: {message}")]
    CommitRefused { message: String },
    /// The user's connection is of another database.
    #[error(
        "the connection is {found}, the store is {expected}: begin the transaction on abide's own database"
    )]
    WrongConnection { found: String, expected: String },
    /// The incarnation's lease is gone: another worker has taken over.
    #[error("this worker's lease is gone: it was taken over")]
    Fenced,
    /// A schema change failed; the database is as it was.
    #[error("migration {version} of the database `{path}` failed and was rolled back: {message}")]
    Migration {
        path: String,
        version: i64,
        message: String,
        #[source]
        source: Option<Source>,
    },
    /// Any other error of the database.
    #[error("the database `{path}` failed: {message}")]
    Database {
        path: String,
        message: String,
        #[source]
        source: Option<Source>,
    },
    /// The database refuses this row, and a retry would not help.
    #[error("the database refuses this row: {message}")]
    BadRow { message: String },
    /// The outcome is unknown, even after reading back.
    #[error("the outcome of a commit is unknown: {message}")]
    Unknown { message: String },
    /// A journal whose rows do not join up, or that does not decode.
    #[error("the journal of execution {execution} is damaged: {message}")]
    Damaged { execution: ExecutionId, message: String },
    /// A newer release has written it.
    #[error(
        "the history of execution {execution} was written by a newer release of abide: {message}. Use that release"
    )]
    NewerHistory { execution: ExecutionId, message: String },
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
}

/// The future of a store's method. Boxed, since the trait is used as `dyn`; the hot path ([`Store::submit`])
/// has no future at all.
pub(crate) type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

impl StoreError {
    /// The code, the name of its page in `docs/errors/`.
    pub(crate) fn code(&self) -> &'static str {
        let code = match self {
            Self::Open { .. } => Code::CannotOpen,
            Self::ReadOnly { .. } => Code::ReadOnly,
            Self::Busy { .. } => Code::Busy,
            Self::Full { .. } => Code::DiskFull,
            Self::Foreign { .. } => Code::ForeignFile,
            Self::Newer { .. } => Code::NewerDatabase,
            Self::Io { .. } => Code::DiskFailed,
            Self::Network { .. } => Code::NetworkFileSystem,
            Self::Fenced => Code::LeaseLost,
            Self::Migration { .. } => Code::MigrationFailed,
            Self::Database { .. } | Self::Closed => Code::DatabaseError,
            Self::BadRow { .. } => Code::RowRefused,
            Self::Unknown { .. } => Code::OutcomeUnknown,
            Self::Damaged { .. } => Code::Damaged,
            Self::NewerHistory { .. } => Code::OtherRelease,
            Self::Pooler { .. } => Code::Pooler,
            Self::Behind { .. } => Code::OlderTables,
            Self::Conflicting { .. } => Code::Aborted,
            Self::Unreachable { .. } => Code::Unreachable,
            Self::InsideTransaction => Code::InsideTransaction,
            Self::WrongConnection { .. } => Code::WrongConnection,
            Self::TooLong { .. } => Code::TransactionTooLong,
            Self::TransactionEnded { .. } => Code::TransactionEnded,
            Self::CommitRefused { .. } => Code::CommitRefused,
        };
        code.as_str()
    }

    /// Whether a worker must stop, rather than discard, wait or retry.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Database { .. } | Self::Closed | Self::ReadOnly { .. })
    }
}

/// Why a call's work was not done.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The database's error.
    Sql(sqlx::Error),
    /// The call itself refuses: its transaction is rolled back.
    Refused(StoreError),
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}
