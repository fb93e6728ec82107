//! A user's own SQL and the engine's in one transaction: transactional activities and transactional clients (PROTOCOL 22).

use super::StoreFuture;
use super::error::StoreError;

/// A connection of the user's, inside a transaction of the user's. Which kind it is, is checked against the store.
pub(crate) enum UserConnection<'c> {
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
    /// Without a store there is no connection.
    #[doc(hidden)]
    None(std::convert::Infallible, std::marker::PhantomData<&'c ()>),
}

/// The transaction of one attempt of a transactional activity. Dropped without an end, it is rolled back.
pub(crate) trait AttemptTransaction: Send {
    /// Where the user's statements go.
    fn connection(&mut self) -> UserConnection<'_>;

    /// Ends it with this outcome, the body of a message of kind [`Attempt`](super::MessageKind::Attempt): takes the attempt's token, puts the outcome into the inbox,
    /// passes the fence, commits. False: the attempt was decided otherwise, and nothing of the transaction is in.
    ///
    /// Errors: `Fenced`; `Unknown` where the commit broke off (the token tells); `Conflicting` where the database broke the transaction off, and
    /// the same again may succeed.
    fn complete(self: Box<Self>, body: String) -> StoreFuture<'static, bool>;

    /// Ends it, and nothing of it is in.
    fn roll_back(self: Box<Self>) -> StoreFuture<'static, ()>;
}

/// Whether the same transaction, begun anew, may succeed.
pub(crate) fn may_succeed_again(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflicting { .. } | StoreError::Busy { .. })
}
