//! The connection that a transactional activity's body borrows: its types, and how the generated call obtains
//! it.

use super::transaction::LENT;
use crate::store::{AttemptTransaction, UserConnection};
use abide_core::Database;
use std::any::Any;
use std::marker::PhantomData;

mod sealed {
    /// Sealed: only the engine decides which connections it can lend.
    pub trait Sealed {}
}

/// A connection that the engine can share a transaction with: `sqlx::PgConnection` (feature `postgres`) or
/// `sqlx::SqliteConnection` (feature `sqlite`), of sqlx 0.9. Add sqlx 0.9 to your `Cargo.toml` as well.
///
/// It is the first parameter of a [transactional activity](mod@crate::activity#transactional-activities), and
/// the parameter of `within` ([`Start::within`](crate::Start::within),
/// [`Request::within`](crate::Request::within)).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection that abide can share a transaction with",
    label = "not a connection of a store",
    note = "take `&mut sqlx::PgConnection` (abide's feature `postgres`) or `&mut sqlx::SqliteConnection` \
            (feature `sqlite`), of sqlx 0.9",
    note = "a `sqlx::Transaction` gives one: `&mut *tx`"
)]
pub trait TransactionConnection: sealed::Sealed + Any + Send {
    /// The kind of database of this connection.
    #[doc(hidden)]
    const DATABASE: Database;
}

#[cfg(feature = "postgres")]
impl sealed::Sealed for sqlx::PgConnection {}
#[cfg(feature = "postgres")]
#[diagnostic::do_not_recommend]
impl TransactionConnection for sqlx::PgConnection {
    const DATABASE: Database = Database::Postgres;
}

#[cfg(feature = "sqlite")]
impl sealed::Sealed for sqlx::SqliteConnection {}
#[cfg(feature = "sqlite")]
#[diagnostic::do_not_recommend]
impl TransactionConnection for sqlx::SqliteConnection {
    const DATABASE: Database = Database::Sqlite;
}

/// The attempt's transaction, taken from its place while the body runs. If it is dropped before the body ends
/// (a panic, a time limit, a cancellation), the transaction is dropped too, and rolls back.
pub struct Lent<C> {
    transaction: Box<dyn AttemptTransaction>,
    connection: PhantomData<fn() -> C>,
}

// No bound on the trait: the bound of the definition's `DATABASE` reports a wrong type, and reports it only
// once.
impl<C: Any> Lent<C> {
    /// Takes the transaction of the attempt that runs in this task.
    ///
    /// # Panics
    /// Outside of an attempt of a transactional activity. Only generated code calls this, and only the engine
    /// calls that code.
    pub fn take() -> Self {
        let transaction = LENT.try_with(|lent| lent.take()).ok().flatten();
        let transaction = transaction.expect("the engine begins a transaction before it calls the body");
        Self { transaction, connection: PhantomData }
    }

    /// The body's first argument.
    ///
    /// # Panics
    /// If the store is of another kind. A worker with such an activity does not start.
    pub fn connection(&mut self) -> &mut C {
        let connection: UserConnection<'_> = self.transaction.connection();
        connection.into_typed().expect("a worker checks its activities' databases when it starts")
    }

    /// Returns the transaction to the engine, after the body has ended.
    pub fn give_back(self) {
        // Without the task's place the transaction could not be completed: it is rolled back.
        let _ = LENT.try_with(|lent| lent.put(self.transaction));
    }
}
