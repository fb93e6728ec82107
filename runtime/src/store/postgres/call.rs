//! Calls of clients and workers: on the pool, on the store's own thread, so that a caller who goes away cuts
//! nothing off.
//!
//! Three kinds: a read, one statement that writes, a transaction. A call that the database aborts (a
//! serialization failure, a deadlock, a lock that it did not get in time) is retried. A connection that breaks
//! is replaced; if it broke in a commit, or in the one statement, the outcome is unknown, and the caller is
//! told so (PROTOCOL 8).

use super::connection::{NO_ANSWER, no_answer};
use super::failure::kind;
use super::shared::Shared;
use super::store::PostgresStore;
use crate::store::failure::Kind;
use crate::store::patience::{Patience, Tried};
use crate::store::{Counters, Stage, StoreError, Trouble};
use sqlx::{Connection, PgConnection, PgPool};
use std::pin::Pin;
use std::sync::Arc;

/// What a call does on a connection. Built again for each try.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'c>>;

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// A broken connection is no matter.
    Read,
    /// One statement, its own transaction.
    Once,
    /// Several statements in a transaction.
    Transaction,
}

impl PostgresStore {
    /// Reads.
    pub(super) async fn read<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_thread(Style::Read, work).await
    }

    /// One statement that writes (and reads beside it).
    pub(super) async fn once<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_thread(Style::Once, work).await
    }

    /// A transaction.
    pub(super) async fn call<F, T>(&self, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        self.on_thread(Style::Transaction, work).await
    }

    /// Tries on the store's thread, until it is done or the caller's patience is at its end.
    async fn on_thread<F, T>(&self, style: Style, mut work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
        T: Send + 'static,
    {
        let (shared, pool) = (Arc::clone(&self.shared), self.calls.clone());
        if shared.queue.is_closed() {
            return Err(StoreError::Closed);
        }
        let trying = self.runtime.spawn(async move {
            let mut patience = Patience::of_call(shared.options.busy_timeout);
            loop {
                match attempt(style, &shared, &pool, &mut work).await {
                    Tried::Done(value) => return Ok(value),
                    Tried::Failed(error) => return Err(error),
                    Tried::Again(error) => patience.again(error).await?,
                }
            }
        });
        trying.await.unwrap_or(Err(StoreError::Closed))
    }
}

async fn attempt<F, T>(style: Style, shared: &Shared, pool: &PgPool, work: &mut F) -> Tried<T>
where
    F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
    T: Send + 'static,
{
    let mut connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => return refused(shared, error, true),
    };
    if style != Style::Read
        && let Some(error) = injected(shared, Stage::BeforeCommit)
    {
        return Tried::Failed(error);
    }
    let done = tokio::time::timeout(NO_ANSWER, async {
        match style {
            Style::Read | Style::Once => work(shared, &mut connection).await.map(Ok),
            Style::Transaction => in_transaction(shared, &mut connection, work).await,
        }
    });
    let Ok(done) = done.await else {
        // The pool would wait for the same answer before it uses the connection again.
        drop(connection.detach());
        shared.note_timeout();
        return refused(shared, no_answer(NO_ANSWER), style == Style::Read);
    };
    match done {
        Ok(Ok(value)) => {
            if style != Style::Read {
                Counters::add(&shared.counters.commits, 1);
                if let Some(error) = injected(shared, Stage::AfterCommit) {
                    return Tried::Failed(error);
                }
            }
            Tried::Done(value)
        }
        // In the commit: it may be in.
        Ok(Err(error)) => refused(shared, error, false),
        Err(Trouble::Refused(error)) => Tried::Failed(error),
        // Before the commit: the server has rolled it back, or will.
        Err(Trouble::Sql(error)) => refused(shared, error, style != Style::Once),
    }
}

/// The inner result is that of the commit.
async fn in_transaction<F, T>(
    shared: &Shared,
    connection: &mut PgConnection,
    work: &mut F,
) -> Result<sqlx::Result<T>, Trouble>
where
    F: for<'c> FnMut(&'c Shared, &'c mut PgConnection) -> Work<'c, T> + Send + 'static,
{
    let mut transaction = connection.begin().await?;
    let value = work(shared, &mut transaction).await?;
    Ok(transaction.commit().await.map(|()| value))
}

/// The error of a fault that a test injects.
fn injected(shared: &Shared, stage: Stage) -> Option<StoreError> {
    shared.fault(stage).err().map(|failed| failed.error)
}

/// What an error means for a call. `harmless`: nothing can have been written.
fn refused<T>(shared: &Shared, error: sqlx::Error, harmless: bool) -> Tried<T> {
    let (kind, text) = (kind(&error), error.to_string());
    match kind {
        _ if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) => {
            Tried::Failed(shared.error(error))
        }
        Kind::Broken if harmless => {
            Tried::Again(StoreError::Unreachable { path: shared.name.clone(), message: text })
        }
        // The next place in the journal was taken meanwhile: seen again, it is another.
        Kind::Busy | Kind::Duplicate => Tried::Again(StoreError::Conflicting { message: text }),
        Kind::Refused => Tried::Failed(StoreError::BadRow { message: text }),
        _ => Tried::Failed(shared.error(error)),
    }
}
