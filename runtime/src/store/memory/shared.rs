//! What one process's store and its writer share: its names, its clock, and who of it is to be told what.

use super::server::Server;
use crate::store::clock::Clock;
use crate::store::decide::Notify;
use crate::store::failure::{Failed, fault};
use crate::store::queue::Queue;
use crate::store::stream::Readers;
use crate::store::{Counters, FaultHook, Stage};
use abide_core::{ExecutionId, Incarnation};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify as Wake, watch};
use tokio::time::Instant;

/// How many of an execution's id bits count within a process (see SQLite's).
const COUNTER_BITS: u32 = 40;

/// What errors call the database.
pub(super) const NAME: &str = "memory";

/// Shared by [`MemoryStore`](super::store::MemoryStore) and its writer.
pub(super) struct Shared {
    pub(super) server: Arc<Server>,
    /// This process.
    pub(super) process: u32,
    /// The machine that it is on, if that is known.
    pub(super) machine: Option<u32>,
    pub(super) lease: Duration,
    fault: Option<FaultHook>,
    pub(super) queue: Queue<Infallible>,
    /// The writer has something to do.
    pub(super) wake: Wake,
    pub(super) counters: Counters,
    /// `None`: the server's own.
    pub(super) clock: Option<Clock>,
    /// See [`Store::changes`](crate::store::Store::changes).
    changes: Listeners,
    /// See [`Store::news`](crate::store::Store::news).
    news: Listeners,
    /// See [`Schedules::schedule_news`](crate::store::Schedules::schedule_news).
    schedules: Listeners,
    pub(super) readers: Readers,
    pub(super) ended: AtomicBool,
    /// Told at the writer's end.
    pub(super) end: Wake,
    control: Mutex<ControlConnection>,
    next_id: AtomicI64,
    mine: Mutex<BTreeMap<Incarnation, String>>,
    /// The task queues in which tasks with limits or keys were waiting at the last claim.
    limited: Mutex<BTreeSet<String>>,
}

/// The connection that renews leases and holds the locks that tell a death early.
#[derive(Clone, Copy, Debug)]
pub(super) struct ControlConnection {
    pub(super) is_there: bool,
    /// When it last broke.
    pub(super) broke: Option<Instant>,
    pub(super) failures: u32,
}

/// One sender for each who listens: those of one sender would be woken in no certain order.
#[derive(Default)]
struct Listeners(Mutex<Vec<watch::Sender<u64>>>);

impl Listeners {
    fn listen(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.is_closed());
        listeners.push(sender);
        receiver
    }

    fn tell(&self) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.is_closed());
        listeners.iter().for_each(|listener| listener.send_modify(|count| *count += 1));
    }
}

impl Shared {
    /// The task queues whose claims are transactions, as far as is known. A hint.
    pub(super) fn limited(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.limited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new(
        server: &Arc<Server>,
        lease: Duration,
        fault: Option<FaultHook>,
        machine: Option<u32>,
        clock: Option<Clock>,
    ) -> Self {
        let process = server.new_process();
        Self {
            server: Arc::clone(server),
            process,
            machine,
            lease,
            fault,
            queue: Queue::default(),
            wake: Wake::new(),
            counters: Counters::default(),
            clock,
            changes: Listeners::default(),
            news: Listeners::default(),
            schedules: Listeners::default(),
            readers: Readers::default(),
            ended: AtomicBool::new(false),
            end: Wake::new(),
            control: Mutex::new(ControlConnection { is_there: true, broke: None, failures: 0 }),
            next_id: AtomicI64::new(i64::from(process) << COUNTER_BITS),
            mine: Mutex::default(),
            limited: Mutex::default(),
        }
    }

    pub(super) fn execution_id(&self) -> ExecutionId {
        ExecutionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.as_ref().map_or_else(|| self.server.now_ms(), Clock::now_ms)
    }

    pub(super) fn control(&self) -> MutexGuard<'_, ControlConnection> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The incarnations of this process, each with its task queue.
    pub(super) fn mine(&self) -> MutexGuard<'_, BTreeMap<Incarnation, String>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.listen()
    }

    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.listen()
    }

    pub(super) fn schedule_news(&self) -> watch::Receiver<u64> {
        self.schedules.listen()
    }

    /// Workers of this process have something to look at.
    pub(super) fn tick(&self) {
        self.changes.tell();
    }

    /// Clients of this process have something to look at.
    pub(super) fn tell_clients(&self) {
        self.news.tell();
    }

    /// Here at once where it concerns this process, elsewhere by a notification.
    fn tell(&self, notification: &Notification) {
        self.hear(notification);
        self.server.notify(self.process, notification);
    }

    /// Tells whom of this process it concerns.
    pub(super) fn hear(&self, notification: &Notification) {
        match notification {
            Notification::News => self.tell_clients(),
            Notification::Stream(execution) => self.readers.tell(*execution),
            Notification::Schedules => self.schedules.tell(),
            Notification::Reply(block) if *block == i64::from(self.process) => self.tell_clients(),
            _ if self.concerns(notification) => self.tick(),
            _ => {}
        }
    }

    fn concerns(&self, notification: &Notification) -> bool {
        let mine = self.mine();
        match notification {
            Notification::Worker(id) => mine.contains_key(id),
            Notification::Queue(name) => mine.values().any(|queue| queue == name),
            Notification::Workers => !mine.is_empty(),
            Notification::News
            | Notification::Reply(_)
            | Notification::Stream(_)
            | Notification::Schedules => false,
        }
    }

    /// Asks the test's hook for a fault at this stage.
    pub(super) fn fault(&self, stage: Stage) -> Result<(), Failed> {
        fault(self.fault.as_ref(), stage, NAME)
    }
}

impl Notify for Shared {
    fn notify_clients(&self) {
        self.tell(&Notification::News);
    }

    fn notify_workers(&self) {
        self.tell(&Notification::Workers);
    }

    fn notify_worker(&self, worker: Incarnation) {
        self.tell(&Notification::Worker(worker));
    }

    fn notify_queue(&self, queue: &str) {
        self.tell(&Notification::Queue(queue.to_owned()));
    }

    fn notify_readers(&self, execution: ExecutionId) {
        self.tell(&Notification::Stream(execution));
    }

    fn notify_schedules(&self) {
        self.tell(&Notification::Schedules);
    }

    fn notify_process(&self, block: i64) {
        self.tell(&Notification::Reply(block));
    }
}

/// What one process has to tell the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notification {
    /// An execution may have closed or been suspended.
    News,
    /// A reply to this process.
    Reply(i64),
    /// All workers should look.
    Workers,
    /// A worker has a message.
    Worker(Incarnation),
    /// Something is claimable in this task queue.
    Queue(String),
    /// This run has published into a stream.
    Stream(ExecutionId),
    /// A schedule is due earlier than was known, or has a report.
    Schedules,
}
