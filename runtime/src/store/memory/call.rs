//! Calls of clients and workers, as their process makes them: which are retried, and what a caller is answered.
//!
//! As in `postgres/call.rs`: a call that the database aborted (a deadlock, a lock's time limit) is retried,
//! and so is a read, or a call that did not reach the server. A write whose connection broke is unknown, and
//! its caller is told so (PROTOCOL 8).

use super::session::{Failure, Session, Style, Work};
use super::shared::{NAME, Shared};
use super::statement::Statement;
use super::store::MemoryStore;
use crate::store::failure::Kind;
use crate::store::patience::{Patience, Tried};
use crate::store::{Counters, Stage, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// How long a call is retried.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// After this time without an answer the server, or the network to it, counts as gone.
pub(super) const NO_ANSWER: Duration = Duration::from_secs(45);

impl MemoryStore {
    /// Reads.
    pub(super) async fn read<F, T>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Clone + Send + 'static,
        T: Send + 'static,
    {
        self.tried(name, Style::Read, work).await
    }

    /// One statement that reads.
    pub(super) async fn seen<T: Send + 'static>(
        &self,
        name: &'static str,
        see: impl Fn(&Statement<'_>) -> T + Clone + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        self.read(name, move |session| Box::pin(async move { session.run(|st| Ok(see(st))).await })).await
    }

    /// Statements that write, each by itself.
    pub(super) async fn once<F, T>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Clone + Send + 'static,
        T: Send + 'static,
    {
        self.tried(name, Style::Once, work).await
    }

    /// A transaction.
    pub(super) async fn call<F, T>(&self, name: &'static str, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Clone + Send + 'static,
        T: Send + 'static,
    {
        self.tried(name, Style::Transaction, work).await
    }

    /// Tries until it is done or the caller's patience is over. It goes on if the caller is dropped, but not
    /// if the process ends.
    async fn tried<F, T>(&self, name: &'static str, style: Style, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        if shared.queue.is_closed() {
            return Err(StoreError::Closed);
        }
        if shared.server.is_inline() {
            return patiently(shared, name, style, work).await;
        }
        let trying = tokio::spawn(patiently(shared, name, style, work));
        trying.await.unwrap_or(Err(StoreError::Closed))
    }
}

async fn patiently<F, T>(
    shared: Arc<Shared>,
    name: &'static str,
    style: Style,
    work: F,
) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Clone + Send + 'static,
    T: Send + 'static,
{
    let mut patience = Patience::of_call(BUSY_TIMEOUT);
    loop {
        match attempt(&shared, name, style, work.clone()).await {
            Tried::Done(value) => return Ok(value),
            Tried::Failed(error) => return Err(error),
            Tried::Again(error) => patience.again(error).await?,
        }
    }
}

async fn attempt<F, T>(shared: &Shared, name: &'static str, style: Style, work: F) -> Tried<T>
where
    F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Send + 'static,
    T: Send + 'static,
{
    let writes = style != Style::Read;
    if writes && let Err(failed) = shared.fault(Stage::BeforeCommit) {
        return Tried::Failed(failed.error);
    }
    let failure = match answered(shared, NO_ANSWER, name, style, work).await {
        Ok(value) => {
            if writes {
                Counters::add(&shared.counters.commits, 1);
                if let Err(failed) = shared.fault(Stage::AfterCommit) {
                    return Tried::Failed(failed.error);
                }
            }
            return Tried::Done(value);
        }
        Err(failure) => failure,
    };
    let unreachable = |message: &str| {
        Tried::Again(StoreError::Unreachable { path: NAME.to_owned(), message: message.to_owned() })
    };
    match failure {
        Failure::Unreachable => unreachable("nobody answers"),
        Failure::Broken if !writes => unreachable("the connection broke off"),
        Failure::Refused(error) => Tried::Failed(error),
        // Another append took the next place in the journal meanwhile. A retry reads the new one.
        failure if matches!(failure.kind(), Kind::Busy | Kind::Duplicate) => {
            Tried::Again(StoreError::Conflicting { message: failure.error(NAME).to_string() })
        }
        failure => Tried::Failed(failure.error(NAME)),
    }
}

/// The answer, unless it takes too long.
pub(super) async fn answered<F, T>(
    shared: &Shared,
    limit: Duration,
    name: &'static str,
    style: Style,
    work: F,
) -> Result<T, Failure>
where
    F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T> + Send + 'static,
    T: Send + 'static,
{
    let answer = shared.server.call(shared.process, name, style, work);
    if shared.server.is_inline() {
        return answer.await;
    }
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        // A dead process gets no answer.
        Err(_) if shared.server.is_killed(shared.process) => std::future::pending().await,
        Err(_) => Err(Failure::Broken),
    }
}
