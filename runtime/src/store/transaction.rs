//! A user's own SQL and the engine's in one transaction: transactional activities and transactional clients
//! (PROTOCOL 22).

use super::error::{StoreError, StoreFuture};
use super::execution::{NewExecution, StartAnswer};
use super::message::{NewMessage, SendAnswer};
use super::task::TaskKey;
use crate::future::BoxFuture;
use abide_core::Incarnation;
use std::any::Any;
use std::path::Path;
use std::sync::Arc;

tokio::task_local! {
    /// The file whose write lock is held by the transaction of the body that runs in this task.
    pub(crate) static INSIDE: Option<Arc<Path>>;
}

/// A user's connection, inside a user's transaction. Its kind must be the store's.
pub(crate) enum UserConnection<'c> {
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
    /// Without a store there is no connection.
    #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
    None(std::marker::PhantomData<&'c ()>),
}

impl<'c> UserConnection<'c> {
    /// The connection as the type that a body declares. `None`: it has another type.
    pub(crate) fn into_typed<C: Any>(self) -> Option<&'c mut C> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => (connection as &mut dyn Any).downcast_mut(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => (connection as &mut dyn Any).downcast_mut(),
            #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
            Self::None(_) => None,
        }
    }

    /// From a typed connection. `None`: no store has this type.
    pub(crate) fn of<C: Any>(connection: &'c mut C) -> Option<Self> {
        let any: &'c mut dyn Any = connection;
        #[cfg(feature = "postgres")]
        if any.is::<sqlx::PgConnection>() {
            return any.downcast_mut().map(Self::Postgres);
        }
        #[cfg(feature = "sqlite")]
        if any.is::<sqlx::SqliteConnection>() {
            return any.downcast_mut().map(Self::Sqlite);
        }
        // Without any store, no type is one.
        let _ = any;
        None
    }
}

/// The transaction of one attempt of a transactional activity. Dropped without an end, it is rolled back.
pub(crate) trait AttemptTransaction: Send {
    /// Where the user's statements go.
    fn connection(&mut self) -> UserConnection<'_>;

    /// Ends it with this outcome, the body of a message of kind [`Attempt`](super::MessageKind::Attempt):
    /// deletes the attempt's token, puts the outcome into the inbox, passes the fence, commits. False: the
    /// attempt was already decided, and the transaction was rolled back. It must run to its end, so its
    /// caller gives it a task of its own.
    ///
    /// Errors: `Fenced`; `Unknown` if the connection broke at the commit (the token shows the outcome);
    /// `Conflicting` if the database aborted the transaction, and a retry may succeed; `CommitRefused` if the
    /// user's own rows forbid it; `TransactionEnded` if the user's code has ended it; `TooLong`.
    fn complete(self: Box<Self>, body: String) -> StoreFuture<'static, bool>;

    /// Rolls it back.
    fn roll_back(self: Box<Self>) -> StoreFuture<'static, ()>;

    /// The file whose write lock it holds: calls of the engine that write to it would wait for themselves. `None` if
    /// others can write meanwhile.
    fn holds(&self) -> Option<Arc<Path>> {
        None
    }

    /// Completes when the time limit is over: the transaction cannot succeed any more and has to be dropped.
    fn cut_off(&self) -> BoxFuture<'static, StoreError> {
        Box::pin(std::future::pending())
    }
}

/// A user's SQL and the engine's in one transaction.
pub(crate) trait Within: Send + Sync {
    /// Begins the transaction of an attempt whose token row an append of `owner` has written.
    fn begin_attempt(&self, owner: Incarnation, key: TaskKey)
    -> StoreFuture<'_, Box<dyn AttemptTransaction>>;

    /// Like [`Starts::start`](super::Starts::start), on the user's connection: it happens if the user commits.
    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> StoreFuture<'a, StartAnswer>;

    /// Like [`Inbox::send`](super::Inbox::send), on the user's connection.
    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> StoreFuture<'a, SendAnswer>;
}

/// Whether a retry of the transaction may succeed. It may if the outcome is unknown: if the first one did
/// commit, its token is gone, and the retry changes nothing (PROTOCOL 8, 22).
pub(crate) fn may_succeed_again(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Conflicting { .. }
            | StoreError::Busy { .. }
            | StoreError::Full { .. }
            | StoreError::Unknown { .. }
            | StoreError::Unreachable { .. }
    )
}
