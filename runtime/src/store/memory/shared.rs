//! What one process's store and its writer share: its names, its clock, and who of it is to be told what.

use super::server::Server;
use super::session::met;
use crate::store::clock::Clock;
use crate::store::group::Failed;
use crate::store::queue::Queue;
use crate::store::{Counters, FaultHook, Stage};
use abide_core::{ExecutionId, Incarnation};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// How many of an execution's id bits count within a process (see SQLite's).
const COUNTER_BITS: u32 = 40;

/// What errors call the database.
pub(super) const NAME: &str = "memory";

/// Shared by [`MemoryStore`](super::MemoryStore) and its writer.
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
    pub(super) wake: Notify,
    pub(super) counters: Counters,
    /// `None`: the server's own.
    pub(super) clock: Option<Clock>,
    /// See [`Store::changes`](crate::store::Store::changes).
    changes: Listeners,
    /// See [`Store::news`](crate::store::Store::news).
    news: Listeners,
    pub(super) ended: AtomicBool,
    /// Told at the writer's end.
    pub(super) end: Notify,
    line: Mutex<Line>,
    next_id: AtomicI64,
    mine: Mutex<BTreeMap<Incarnation, String>>,
}

/// The connection that renews leases and holds the locks that tell a death early.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
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
            wake: Notify::new(),
            counters: Counters::default(),
            clock,
            changes: Listeners::default(),
            news: Listeners::default(),
            ended: AtomicBool::new(false),
            end: Notify::new(),
            line: Mutex::new(Line { is_there: true, broke: None, failures: 0 }),
            next_id: AtomicI64::new(i64::from(process) << COUNTER_BITS),
            mine: Mutex::default(),
        }
    }

    pub(super) fn execution_id(&self) -> ExecutionId {
        ExecutionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.as_ref().map_or_else(|| self.server.now_ms(), Clock::now_ms)
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Workers of this process have something to look at.
    pub(super) fn tick(&self) {
        self.changes.tell();
    }

    /// Clients of this process have something to look at.
    pub(super) fn tell_clients(&self) {
        self.news.tell();
    }

    /// Something for whoever owns an execution, or may claim it.
    pub(super) fn tell_owner(&self, owner: Option<Incarnation>, queue: &str) {
        match owner {
            Some(owner) => self.tell(&Tiding::Worker(owner)),
            None => self.tell_queue(queue),
        }
    }

    /// Something for a worker, and nobody here knows which.
    pub(super) fn tell_all_workers(&self) {
        self.tell(&Tiding::Workers);
    }

    /// Something to claim in this task queue.
    pub(super) fn tell_queue(&self, queue: &str) {
        self.tell(&Tiding::Queue(queue.to_owned()));
    }

    /// Something that a client may wait for.
    pub(super) fn tell_news(&self) {
        self.tell(&Tiding::News);
    }

    /// Here at once where it concerns this process, elsewhere by a notification.
    pub(super) fn tell(&self, tiding: &Tiding) {
        self.hear(tiding);
        self.server.notify(self.process, tiding);
    }

    /// Tells whom of this process it concerns.
    pub(super) fn hear(&self, tiding: &Tiding) {
        if *tiding == Tiding::News {
            return self.tell_clients();
        }
        if self.concerns(tiding) {
            self.tick();
        }
    }

    fn concerns(&self, tiding: &Tiding) -> bool {
        let mine = self.mine();
        match tiding {
            Tiding::Worker(id) => mine.contains_key(id),
            Tiding::Queue(name) => mine.values().any(|queue| queue == name),
            Tiding::Workers => !mine.is_empty(),
            Tiding::News => false,
        }
    }

    /// Asks the test's hook for a fault at this stage.
    pub(super) fn fault(&self, stage: Stage) -> Result<(), Failed> {
        let fault = self.fault.as_ref().and_then(|hook| hook(stage));
        fault.map_or(Ok(()), |fault| Err(met(fault, NAME)))
    }
}

/// What one process has to tell the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tiding {
    /// An execution may have closed, been suspended or answered.
    News,
    /// All workers should look.
    Workers,
    /// A worker has a message.
    Worker(Incarnation),
    /// Something is claimable in this task queue.
    Queue(String),
}
