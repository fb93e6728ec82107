//! Jobs: calls of clients and workers that the writer runs in a transaction, between two batches of appends.

use crate::store::{StoreError, Trouble};
use sqlx::SqliteConnection;
use std::pin::Pin;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The most calls of clients and workers in one transaction.
pub(super) const MAX_JOBS: usize = 256;

/// The future of a job's work on the writer's connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'c>>;

/// One call of a client or a worker: a few statements in a transaction, shared with other jobs.
pub(super) trait Job: Send {
    /// Does the work and keeps its value.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, ()>;
    /// Tells the caller, after the commit (`Ok`: the value that `run` kept).
    fn finish(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A job made of a closure.
pub(super) struct Call<F, T> {
    pub(super) work: Option<F>,
    pub(super) value: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Job for Call<F, T>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send,
    T: Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, ()> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.value = Some(work(connection).await?);
            }
            Ok(())
        })
    }

    fn finish(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { value, reply, .. } = *self;
        let answer = outcome.and_then(|()| value.ok_or(StoreError::Closed));
        // The caller may have gone; what was written stays written.
        drop(reply.send(answer));
    }
}

/// What waits in the writer's queue besides appends.
pub(super) enum Item {
    /// A call: shares a transaction with its neighbours.
    Call(Queued),
    /// An attempt's transaction, on another connection.
    Pause(Pause),
}

impl Item {
    pub(super) fn since(&self) -> Instant {
        match self {
            Self::Call(queued) => queued.since,
            Self::Pause(pause) => pause.since,
        }
    }

    pub(super) fn into_call(self) -> Option<Queued> {
        match self {
            Self::Call(queued) => Some(queued),
            Self::Pause(_) => None,
        }
    }

    /// Answers the caller that it was not done.
    pub(super) fn refuse(self, error: StoreError) {
        match self {
            Self::Call(queued) => queued.job.finish(Err(error)),
            // The caller may have gone.
            Self::Pause(pause) => drop(pause.grant.send(Err(error))),
        }
    }
}

/// A job and when it was asked for, since a job waits for a lock only so long.
pub(super) struct Queued {
    pub(super) job: Box<dyn Job>,
    pub(super) since: Instant,
}

/// An attempt's request that the writer pause.
pub(super) struct Pause {
    pub(super) since: Instant,
    pub(super) grant: oneshot::Sender<Result<Granted, StoreError>>,
}

/// The writer waits until this is dropped or sent.
pub(super) struct Granted {
    /// Cancelled when the time is over.
    pub(super) cut_off: CancellationToken,
    /// An error after which nothing may be written any more.
    pub(super) back: oneshot::Sender<StoreError>,
}
