//! What one process knows without the store: which of its workers serves or owns what, and which callers wait
//! for which execution.
//!
//! The hub is a short cut between clients and workers of one process. Correctness never depends on it: each
//! of its answers may be "not here", and the caller then uses the store like another process. It holds no
//! workflow state and never writes. Its locks are held only for a look-up, never across an await.

use crate::error::Result;
use crate::future::BoxFuture;
use crate::store::{NewExecution, NewMessage, StartAnswer};
use crate::update_waiters::UpdateWaiters;
use crate::wire::{AwaitPosition, QueryAnswer};
use abide_core::{Event, ExecutionId, Payload};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// A running worker, as the clients of its process use it. An answer of `None` means "not mine (any more)".
pub(crate) trait LocalWorker: Send + Sync + 'static {
    /// The task queue that it serves.
    fn queue(&self) -> &str;

    /// Its build id, and how long it has run.
    fn build(&self) -> (&str, Duration);

    /// Whether this workflow type is registered.
    fn serves(&self, workflow_type: &str) -> bool;

    /// Whether the execution is loaded and owned here. A hint: it may change before the next call.
    fn owns(&self, execution: ExecutionId) -> bool;

    /// Starts an execution that it owns from the beginning: first turn, one append (PROTOCOL 3). Resolves
    /// when it is durable. `None`: the worker accepts no more (it is shutting down, or has lost its lease),
    /// and nothing was written.
    fn start(&self, new: NewExecution) -> BoxFuture<'_, Result<Option<StartAnswer>>>;

    /// Delivers a message to a live execution, after the messages in its inbox. Resolves when the append that
    /// holds it is durable. `None`: the execution is not owned here any more, and nothing was written.
    fn message(&self, message: NewMessage) -> BoxFuture<'_, Result<Option<()>>>;

    /// Queries the live state, or a read-only replay if the execution is closed or not owned here. `None`:
    /// this worker cannot answer.
    fn query<'a>(
        &'a self,
        execution: ExecutionId,
        name: &'a str,
        input: Payload,
    ) -> BoxFuture<'a, Result<Option<QueryAnswer>>>;

    /// Where the execution waits, from its live state or a read-only replay. `None`: this worker cannot
    /// answer.
    fn awaiting(&self, execution: ExecutionId) -> BoxFuture<'_, Result<Option<Vec<AwaitPosition>>>>;

    /// The sizes of its tables of executions, one number for each. All are 0 if it has no executions.
    #[cfg(feature = "testing")]
    fn keeps(&self) -> Vec<(&'static str, usize)>;

    /// This process wrote something that may be claimable, or a message for an execution that this worker
    /// owns. Check now, and do not wait for the poll, which does not see this process's own commits.
    fn wake(&self);
}

/// The workers and waiters of one process on one database.
#[derive(Default)]
pub(crate) struct Hub {
    workers: RwLock<Vec<Weak<dyn LocalWorker>>>,
    /// Workers that have lost their lease and will register again: they accept nothing, but their queue is
    /// known.
    resting: RwLock<Vec<Weak<dyn LocalWorker>>>,
    waiters: Mutex<HashMap<ExecutionId, Waiters>>,
    /// Clients that wait for updates.
    pub(crate) updates: Arc<UpdateWaiters>,
    /// Held by the worker that sweeps for all of this process.
    pub(crate) sweeping: tokio::sync::Mutex<()>,
    /// Held by the worker that steps schedules for all of this process.
    pub(crate) scheduling: tokio::sync::Mutex<()>,
}

/// The watches of one execution. Removed from the map with the last watch, or when the execution closes.
struct Waiters {
    watched: Arc<Watched>,
    watches: usize,
}

#[derive(Default)]
struct Watched {
    closed: OnceLock<Arc<Event>>,
    changes: AtomicU64,
    notify: Notify,
}

impl Hub {
    /// Adds a worker. It is removed when it is dropped, or by [`Hub::deregister`].
    pub(crate) fn register(&self, worker: Weak<dyn LocalWorker>) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|known| known.strong_count() > 0);
        workers.push(worker);
    }

    /// Removes a worker: it accepts no more starts and messages from this process.
    pub(crate) fn deregister(&self, worker: &Weak<dyn LocalWorker>) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        workers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(worker));
    }

    /// Removes a worker that will register again. Until it is dropped, its queue is still found for its
    /// types.
    pub(crate) fn rest(&self, worker: &Weak<dyn LocalWorker>) {
        self.deregister(worker);
        let mut resting = self.resting.write().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|known| known.strong_count() > 0);
        resting.push(Weak::clone(worker));
    }

    /// The task queue of a worker that has the type and is running or will register again.
    pub(crate) fn queue_of(&self, workflow_type: &str) -> Option<Arc<str>> {
        let at_work = self.server_of(workflow_type, None);
        let worker = at_work.or_else(|| {
            let resting = self.resting.read().unwrap_or_else(PoisonError::into_inner);
            resting.iter().filter_map(Weak::upgrade).find(|worker| worker.serves(workflow_type))
        });
        worker.map(|worker| Arc::from(worker.queue()))
    }

    /// The worker that has the execution loaded.
    pub(crate) fn owner_of(&self, execution: ExecutionId) -> Option<Arc<dyn LocalWorker>> {
        self.find(|worker| worker.owns(execution))
    }

    /// A worker that has the type, on this queue if one is named.
    pub(crate) fn server_of(&self, workflow_type: &str, queue: Option<&str>) -> Option<Arc<dyn LocalWorker>> {
        self.find(|worker| worker.serves(workflow_type) && queue.is_none_or(|queue| worker.queue() == queue))
    }

    /// The sizes of the process's tables of executions, one number for each.
    #[cfg(feature = "testing")]
    pub(crate) fn keeps(&self) -> Vec<(&'static str, usize)> {
        let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).len();
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        let kept = workers.iter().filter_map(Weak::upgrade).flat_map(|worker| worker.keeps());
        [("watched", waiters), ("updates", self.updates.len())].into_iter().chain(kept).collect()
    }

    /// Notifies the workers that this process wrote something that they may claim.
    pub(crate) fn wake_workers(&self) {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter_map(Weak::upgrade).for_each(|worker| worker.wake());
    }

    fn find(&self, mut wanted: impl FnMut(&dyn LocalWorker) -> bool) -> Option<Arc<dyn LocalWorker>> {
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        workers.iter().filter_map(Weak::upgrade).find(|worker| wanted(worker.as_ref()))
    }

    /// Watches an execution. Take the watch first and then read the row, so that no close is missed.
    pub(crate) fn watch(self: &Arc<Self>, execution: ExecutionId) -> CloseWatch {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiters
            .entry(execution)
            .or_insert_with(|| Waiters { watched: Arc::new(Watched::default()), watches: 0 });
        entry.watches += 1;
        CloseWatch { hub: Arc::clone(self), execution, watched: Arc::clone(&entry.watched) }
    }

    /// The execution has closed, and the close is durable. `event` is only called if a caller waits.
    pub(crate) fn closed(&self, execution: ExecutionId, event: impl FnOnce() -> Arc<Event>) {
        let gone = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(&execution);
        if let Some(waiters) = gone {
            // The first close stands. There is no second one.
            let _ = waiters.watched.closed.set(event());
            waiters.watched.notify.notify_waiters();
        }
    }

    /// The execution's row has changed (suspended, resumed, closed elsewhere): waiting callers must read it
    /// again.
    pub(crate) fn row_changed(&self, execution: ExecutionId) {
        let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiters) = waiters.get(&execution) {
            waiters.watched.changes.fetch_add(1, Ordering::Release);
            waiters.watched.notify.notify_waiters();
        }
    }
}

/// One watch of one execution. It removes itself when it is dropped.
pub(crate) struct CloseWatch {
    hub: Arc<Hub>,
    execution: ExecutionId,
    watched: Arc<Watched>,
}

impl CloseWatch {
    /// The closing event, once it is known in this process.
    pub(crate) fn closed(&self) -> Option<Arc<Event>> {
        self.watched.closed.get().cloned()
    }

    /// How often [`Hub::row_changed`] was called. Read it before the row, and pass it to [`CloseWatch::changed`].
    pub(crate) fn changes(&self) -> u64 {
        self.watched.changes.load(Ordering::Acquire)
    }

    /// Waits until the execution has closed, or [`Hub::row_changed`] was called since `changes`.
    pub(crate) async fn changed(&self, changes: u64) {
        loop {
            let notified = self.watched.notify.notified();
            tokio::pin!(notified);
            // Enabled before the check, so that a notification between the two is not lost.
            notified.as_mut().enable();
            if self.watched.closed.get().is_some() || self.changes() != changes {
                return;
            }
            notified.await;
        }
    }
}

impl Drop for CloseWatch {
    fn drop(&mut self) {
        let mut waiters = self.hub.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut entry) = waiters.entry(self.execution) else { return };
        // A close removed the entry, and a later watch created a new one, which does not count this watch.
        if !Arc::ptr_eq(&entry.get().watched, &self.watched) {
            return;
        }
        entry.get_mut().watches -= 1;
        if entry.get().watches == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ExecutionId = ExecutionId(7);

    fn close() -> Arc<Event> {
        Arc::new(Event::Terminated { reason: "test".into() })
    }

    #[test]
    fn dropped_watches_leave_nothing() {
        let hub = Arc::new(Hub::default());
        let (first, second) = (hub.watch(ID), hub.watch(ID));
        drop(first);
        assert_eq!(hub.waiters.lock().unwrap().len(), 1);
        drop(second);
        assert!(hub.waiters.lock().unwrap().is_empty());
    }

    #[test]
    fn an_old_watch_does_not_count_down_a_new_one() {
        let hub = Arc::new(Hub::default());
        let old = hub.watch(ID);
        hub.closed(ID, close);
        let new = hub.watch(ID);
        drop(old);
        assert_eq!(hub.waiters.lock().unwrap().len(), 1);
        assert!(new.closed().is_none());
    }

    #[tokio::test]
    async fn a_close_and_a_change_wake_the_waiter() {
        let hub = Arc::new(Hub::default());
        let watch = hub.watch(ID);
        let changes = watch.changes();
        hub.row_changed(ID);
        watch.changed(changes).await;
        assert!(watch.closed().is_none());
        let waiting = tokio::spawn({
            let changes = watch.changes();
            async move {
                watch.changed(changes).await;
                watch.closed()
            }
        });
        tokio::task::yield_now().await;
        hub.closed(ID, close);
        assert_eq!(waiting.await.unwrap(), Some(close()));
    }
}
