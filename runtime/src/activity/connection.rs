//! The connection that a transactional activity's body is lent: its types, and how the generated call comes by it.

use super::transaction::LENT;
use crate::store::{AttemptTransaction, UserConnection};
use abide_core::Database;
use std::any::Any;
use std::marker::PhantomData;

mod sealed {
    /// Only the engine says what it can lend.
    pub trait Sealed {}
}

/// A connection that the engine can share a transaction with: `sqlx::PgConnection` (feature `postgres`) and
/// `sqlx::SqliteConnection` (feature `sqlite`), of sqlx 0.9, which your `Cargo.toml` names as well.
///
/// It is what a [transactional activity](mod@crate::activity#transactional-activities) takes first, and what `within` takes
/// ([`Start::within`](crate::Start::within), [`Request::within`](crate::Request::within)).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a connection that abide can share a transaction with",
    label = "not a connection of a store",
    note = "take `&mut sqlx::PgConnection` (abide's feature `postgres`) or `&mut sqlx::SqliteConnection` (feature `sqlite`), of sqlx 0.9",
    note = "a `sqlx::Transaction` gives one: `&mut *tx`"
)]
pub trait TransactionConnection: sealed::Sealed + Any + Send {
    /// The kind of database that it is a connection of.
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

/// The attempt's transaction, out of its place while the body runs. Dropped in the middle (a panic, a time limit, a
/// cancel) it takes the transaction with it, which rolls back.
pub struct Lent<C> {
    transaction: Box<dyn AttemptTransaction>,
    connection: PhantomData<fn() -> C>,
}

// No bound of the trait: the definition's `DATABASE` has it, and tells a wrong type once.
impl<C: Any> Lent<C> {
    /// Takes the transaction of the attempt that runs in this task.
    ///
    /// # Panics
    /// Outside of an attempt of a transactional activity: only generated code calls it, and only the engine calls that.
    pub fn take() -> Self {
        let transaction = LENT.try_with(|lent| lent.take()).ok().flatten();
        let transaction = transaction.expect("the engine begins a transaction before it calls the body");
        Self { transaction, connection: PhantomData }
    }

    /// What the body takes first.
    ///
    /// # Panics
    /// Where the store is of another kind, which a worker refuses when it starts.
    pub fn connection(&mut self) -> &mut C {
        let connection: UserConnection<'_> = self.transaction.connection();
        connection.into_typed().expect("a worker checks its activities' databases when it starts")
    }

    /// The body has ended, and the engine goes on with the transaction.
    pub fn give_back(self) {
        // Without the task's place for it nobody could complete it: it is rolled back.
        let _ = LENT.try_with(|lent| lent.put(self.transaction));
    }
}
