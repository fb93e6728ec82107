//! The writer's FIFO: what waits for the next commit.
//!
//! Pushing never blocks and never allocates more than its place. There is no limit here because callers have one:
//! an execution has at most one append in flight, and a client's call waits for its answer.

use crate::store::{Ack, Append, StoreError};
use sqlx::SqliteConnection;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most appends in a batch.
pub(super) const MAX_APPENDS: usize = 512;
/// The most bytes of journal in a batch; one larger append goes alone.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
/// The most calls of clients and workers in one transaction.
pub(super) const MAX_JOBS: usize = 256;

/// What a job's work gives back while it runs on the writer's connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'c>>;

/// Why a job did not do its work.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The database said so.
    Sql(sqlx::Error),
    /// The job itself refuses: nothing of it is to stay.
    Refused(StoreError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

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

/// A job and when it was asked for: a lock is waited for only so long.
pub(super) struct Queued {
    pub(super) job: Box<dyn Job>,
    pub(super) since: Instant,
}

/// What the writer is woken for.
pub(super) enum Taken {
    /// These appends (none: only the time has come, or jobs wait).
    Appends(Vec<(Append, Ack)>),
    /// Nothing is left and nothing will come.
    Finished,
}

#[derive(Default)]
struct State {
    appends: VecDeque<(Append, Ack)>,
    jobs: VecDeque<Queued>,
    waiting: bool,
    closed: bool,
}

/// The FIFO itself.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

impl Queue {
    /// Queues an append, or answers at once that the store is closed.
    pub(super) fn append(&self, append: Append, ack: Ack) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return ack(Err(StoreError::Closed));
        }
        state.appends.push_back((append, ack));
        self.notify(state);
    }

    /// Queues a job, or answers at once that the store is closed.
    pub(super) fn job(&self, job: Box<dyn Job>) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return job.finish(Err(StoreError::Closed));
        }
        state.jobs.push_back(Queued { job, since: Instant::now() });
        self.notify(state);
    }

    /// Refuses what comes from now on; what is queued is still written.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.notify(state);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes the appends that fit one batch; waits for anything at all until `until`.
    pub(super) fn take(&self, until: Instant) -> Taken {
        let mut state = self.lock();
        while state.appends.is_empty() && state.jobs.is_empty() && !state.closed {
            let now = Instant::now();
            if now >= until {
                break;
            }
            state.waiting = true;
            state = self.wake.wait_timeout(state, until - now).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting = false;
        }
        let mut bytes = 0;
        let fits = |(append, _): &&(Append, Ack)| {
            bytes += append.body.len();
            bytes <= MAX_BYTES
        };
        let count = state.appends.iter().take(MAX_APPENDS).take_while(fits).count();
        let count = count.max(1).min(state.appends.len());
        if count == 0 && state.closed && state.jobs.is_empty() {
            return Taken::Finished;
        }
        Taken::Appends(state.appends.drain(..count).collect())
    }

    /// Takes the jobs for one transaction. Apart from the appends, so that those that wait while an append waits for a
    /// lock are still here to be refused.
    pub(super) fn take_jobs(&self) -> Vec<Queued> {
        let mut state = self.lock();
        let count = state.jobs.len().min(MAX_JOBS);
        state.jobs.drain(..count).collect()
    }

    /// Takes out the jobs that have waited longer than `limit`, to be refused while a lock lasts.
    pub(super) fn overdue(&self, limit: Duration) -> Vec<Queued> {
        let mut state = self.lock();
        let count = state.jobs.iter().take_while(|queued| queued.since.elapsed() >= limit).count();
        state.jobs.drain(..count).collect()
    }

    /// A syscall only where the writer sleeps.
    fn notify(&self, state: MutexGuard<'_, State>) {
        let waiting = state.waiting;
        drop(state);
        if waiting {
            self.wake.notify_one();
        }
    }

    /// The state is plain data, whole at every unlock, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
