//! A user's SQL and the engine's in one transaction: refused, since there is no SQL here.

use super::store::MemoryStore;
use crate::store::{
    AttemptTransaction, NewExecution, NewMessage, SendAnswer, StartAnswer, StoreError, StoreFuture, TaskKey,
    UserConnection, Within,
};
use abide_core::{Database, Incarnation};

fn wrong<T: Send + 'static>(found: &'static str) -> StoreFuture<'static, T> {
    let expected = Database::Memory.to_string();
    let error = StoreError::WrongConnection { found: found.to_owned(), expected };
    Box::pin(std::future::ready(Err(error)))
}

impl Within for MemoryStore {
    fn begin_attempt(&self, _: Incarnation, _: TaskKey) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        wrong("one of a transactional activity")
    }

    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        _: NewExecution,
    ) -> StoreFuture<'a, StartAnswer> {
        wrong(kind_of(&connection))
    }

    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        _: NewMessage,
    ) -> StoreFuture<'a, SendAnswer> {
        wrong(kind_of(&connection))
    }
}

/// What a user's connection is, for the error.
fn kind_of(connection: &UserConnection<'_>) -> &'static str {
    match connection {
        #[cfg(feature = "postgres")]
        UserConnection::Postgres(_) => "one of Postgres",
        #[cfg(feature = "sqlite")]
        UserConnection::Sqlite(_) => "one of SQLite",
        #[cfg(not(any(feature = "postgres", feature = "sqlite")))]
        UserConnection::None(_) => "none",
    }
}
