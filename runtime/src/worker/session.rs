//! One incarnation's life, from its registration to its end by shutdown, lost lease or fatal error. The
//! session holds everything that a worker owns, so that dropping it drops all at once.

use super::attempts::Attempts;
use super::handle::ThreadHandle;
use super::lock::lock;
use super::mailbox::Message;
use super::news::Throttle;
use super::options::Options;
use super::registry::Registry;
use crate::Abide;
use crate::activity::gate::Gates;
use crate::activity::runner::Runner;
use crate::host::Pace;
use crate::hub::Hub;
use crate::store::{Store, StoreError};
use abide_core::{ExecutionId, Incarnation};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Why a session is over.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// The lease is lost: the worker begins again with a new incarnation.
    Fenced,
    /// The store failed permanently, or too many threads are blocked.
    Fatal(String),
    /// The worker was asked to stop.
    Shutdown,
}

/// How many claimed executions are read at once.
const LOADS_AT_ONCE: usize = 16;

/// See the module documentation.
pub(super) struct Session {
    pub(super) abide: Abide,
    pub(super) queue: String,
    pub(super) me: Incarnation,
    pub(super) registry: Arc<Registry>,
    pub(super) options: Arc<Options>,
    pub(super) runner: Runner,
    pub(super) attempts: Attempts,
    /// Notified when work was written that may be claimable.
    pub(super) claim_hint: Notify,
    /// Notified when a run was written that may have to end without an owner.
    pub(super) ends_hint: Notify,
    /// Notified when a run with children has closed.
    pub(super) orphans_hint: Notify,
    /// Notified when the inbox of an owned execution may have a message.
    pub(super) inbox_hint: Notify,
    pub(super) inbox_dirty: AtomicBool,
    /// The answer to some store operation was lost, perhaps to a claim. What the claim took must be looked
    /// for.
    pub(super) doubtful: AtomicBool,
    /// The session accepts no more starts and claims no more.
    pub(super) draining: AtomicBool,
    pub(super) end: watch::Sender<Option<End>>,
    /// Limits how many failed attempts are logged.
    pub(super) logged_failures: Mutex<Throttle>,
    /// Executions that were claimed as suspects and have made no progress yet, with the time of the claim.
    pub(super) suspects: Mutex<HashMap<ExecutionId, Instant>>,
    /// Permits to read claimed executions: a claim waits for the reads of the one before it.
    pub(super) loads: Arc<Semaphore>,
    /// When the session began.
    pub(super) since: Instant,
    /// The user's runtime, where activities run.
    pub(super) runtime: Handle,
    threads: RwLock<Vec<Arc<ThreadHandle>>>,
    owned: RwLock<HashMap<ExecutionId, Arc<ThreadHandle>>>,
}

impl Session {
    /// A session without threads (`rounds::spawn_all` begins them). Must be called on the user's runtime:
    /// activities run there.
    pub(super) fn new(
        abide: Abide,
        queue: String,
        me: Incarnation,
        registry: Arc<Registry>,
        options: Arc<Options>,
    ) -> Arc<Self> {
        Arc::new(Self {
            runner: Runner::new(
                options.slots,
                Gates::new(&options.own_limits),
                abide.host().pace.lease,
                options.shows_values,
            ),
            attempts: Attempts::default(),
            claim_hint: Notify::new(),
            ends_hint: Notify::new(),
            orphans_hint: Notify::new(),
            inbox_hint: Notify::new(),
            inbox_dirty: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            end: watch::Sender::new(None),
            logged_failures: Mutex::default(),
            suspects: Mutex::default(),
            loads: Arc::new(Semaphore::new(LOADS_AT_ONCE)),
            since: Instant::now(),
            runtime: Handle::current(),
            threads: RwLock::default(),
            owned: RwLock::default(),
            abide,
            queue,
            me,
            registry,
            options,
        })
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.abide.store()
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        self.abide.hub()
    }

    pub(super) fn pace(&self) -> Pace {
        self.abide.host().pace
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Ends the session; the first reason stands. Without a lease, running activities are asked to stop
    /// immediately, from here: the user's runtime may be blocked (PROTOCOL 18).
    pub(super) fn finish(&self, end: End) {
        self.draining.store(true, Ordering::Release);
        if matches!(end, End::Fenced) {
            self.runner.cancel_all();
        }
        self.end.send_if_modified(|now| {
            let first = now.is_none();
            first.then(|| *now = Some(end));
            first
        });
    }

    /// Handles a store error: an error that this session cannot survive ends it.
    pub(super) fn failed(&self, error: &StoreError) {
        if matches!(error, StoreError::Unknown { .. }) {
            self.doubtful.store(true, Ordering::Release);
        }
        match error {
            StoreError::Fenced => self.finish(End::Fenced),
            error if error.is_fatal() => self.finish(End::Fatal(format!("{}: {error}", error.code()))),
            error => tracing::warn!(code = error.code(), "{}: {error}", error.code()),
        }
    }

    /// Whether this worker runs runs of this type on this task queue, and goes on to.
    pub(super) fn serves(&self, workflow_type: &str, queue: &str) -> bool {
        let knows = self.registry.workflow_type(workflow_type).is_some();
        knows && *queue == *self.queue && !self.draining.load(Ordering::Acquire)
    }

    // Which thread has which execution.

    /// The thread to which the execution's id assigns it.
    pub(super) fn home_of(&self, execution: ExecutionId) -> Arc<ThreadHandle> {
        let threads = self.threads.read().unwrap_or_else(PoisonError::into_inner);
        // Ids are counters in blocks, so neighbours go to different threads.
        let index = execution.0.unsigned_abs() as usize % threads.len();
        Arc::clone(&threads[index])
    }

    pub(super) fn threads(&self) -> Vec<Arc<ThreadHandle>> {
        self.threads.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn put_threads(&self, threads: Vec<Arc<ThreadHandle>>) {
        *self.threads.write().unwrap_or_else(PoisonError::into_inner) = threads;
    }

    /// Makes `thread` the thread of this index.
    pub(super) fn put_thread(&self, index: usize, thread: Arc<ThreadHandle>) {
        self.threads.write().unwrap_or_else(PoisonError::into_inner)[index] = thread;
    }

    pub(super) fn owner_thread(&self, execution: ExecutionId) -> Option<Arc<ThreadHandle>> {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).get(&execution).cloned()
    }

    pub(super) fn owns(&self, execution: ExecutionId) -> bool {
        self.owned.read().unwrap_or_else(PoisonError::into_inner).contains_key(&execution)
    }

    /// The execution continues elsewhere, or has closed there: its attempts that still run here are left, and
    /// their outcomes are discarded.
    pub(super) fn leave_attempts(&self, execution: ExecutionId) {
        // A thread that loads the execution checks its attempts itself, once the execution is owned.
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        if !owned.contains_key(&execution) {
            self.attempts.leave(execution);
        }
    }

    /// How many executions it owns, and how many attempts run or are not yet written, for its own executions
    /// and for others.
    pub(super) fn has(&self) -> (usize, usize) {
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner).len();
        let (own, tasks) = self.attempts.count();
        (owned, own + tasks)
    }

    /// The sizes of its tables, one number for each.
    #[cfg(feature = "testing")]
    pub(super) fn keeps(&self) -> Vec<(&'static str, usize)> {
        let (own, tasks) = self.attempts.count();
        vec![
            ("owned", self.owned.read().unwrap_or_else(PoisonError::into_inner).len()),
            ("attempts", own),
            ("tasks", tasks),
            ("suspects", lock(&self.suspects).len()),
        ]
    }

    /// Something was written, or set free, that may be claimable.
    pub(super) fn look_for_work(&self) {
        self.claim_hint.notify_one();
        self.ends_hint.notify_one();
    }

    /// Tells the run's thread that this worker owns the run, as the database says. The thread reads the run,
    /// unless it already has it (PROTOCOL 34).
    pub(super) fn name(&self, run: ExecutionId, permit: Option<OwnedSemaphorePermit>) {
        let thread = self.home_of(run);
        let _ = lock(&thread.named).insert(run, permit);
        if thread.send(Message::Own { execution: run }).is_err() {
            // The thread is being replaced. The comparison with the database finds the run later.
            lock(&thread.named).remove(&run);
            self.doubtful.store(true, Ordering::Release);
        }
    }

    /// The same, once few enough runs are being read.
    pub(super) async fn name_in_turn(&self, run: ExecutionId) {
        let permit = Arc::clone(&self.loads).acquire_owned().await.ok();
        self.name(run, permit);
    }

    pub(super) fn set_owned(&self, execution: ExecutionId, thread: Arc<ThreadHandle>) {
        self.owned.write().unwrap_or_else(PoisonError::into_inner).insert(execution, thread);
    }

    pub(super) fn disown(&self, execution: ExecutionId) {
        self.owned.write().unwrap_or_else(PoisonError::into_inner).remove(&execution);
        self.clear_suspect(execution);
    }

    /// The executions that `thread` owns, for the thread that replaces it.
    pub(super) fn owned_by(&self, thread: &Arc<ThreadHandle>) -> Vec<ExecutionId> {
        let owned = self.owned.read().unwrap_or_else(PoisonError::into_inner);
        let mine = owned.iter().filter(|(_, t)| Arc::ptr_eq(t, thread));
        let mut ids: Vec<ExecutionId> = mine.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// Sends to the thread that owns the execution. Returns the message if no thread does.
    #[allow(clippy::result_large_err, reason = "what was not sent comes back, as from a channel")]
    pub(super) fn send(&self, execution: ExecutionId, message: Message) -> Result<(), Message> {
        match self.owner_thread(execution) {
            Some(thread) => thread.send(message),
            None => Err(message),
        }
    }

    /// A suspect has made progress, runs nothing any more, or is gone: the next suspect may run.
    pub(super) fn clear_suspect(&self, execution: ExecutionId) {
        let was = lock(&self.suspects).remove(&execution);
        if was.is_some() {
            self.claim_hint.notify_one();
        }
    }
}
