//! What the store's handle, its writers and its control task share.

use super::alone::ALONE;
use super::control::Command;
use super::open::OpenOptions;
use super::sql::Sql;
use crate::store::clock::Clock;
use crate::store::group::{Failed, Kind};
use crate::store::queue::Queue;
use crate::store::{Counters, Fault, Stage, StoreError};
use abide_core::{ExecutionId, Incarnation};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How many of an execution's id bits count within a process (see SQLite's).
const COUNTER_BITS: u32 = 40;

/// Shared by [`PostgresStore`](super::PostgresStore) and what runs for it.
pub(super) struct Shared {
    /// The database, for errors: its URL without the password, and the schema.
    pub(super) name: String,
    pub(super) options: OpenOptions,
    pub(super) sql: Sql,
    pub(super) queue: Queue<Infallible>,
    pub(super) counters: Counters,
    pub(super) clock: Clock,
    /// See [`Store::changes`](crate::store::Store::changes).
    pub(super) changes: watch::Sender<u64>,
    /// See [`Store::news`](crate::store::Store::news).
    pub(super) news: watch::Sender<u64>,
    /// How many writers have ended.
    pub(super) ended: watch::Sender<usize>,
    /// How many appends are put off, or close alone: the store's thread ends after them.
    pub(super) put_off: watch::Sender<usize>,
    /// Cancelled with the queue's end: what is put off waits no longer.
    pub(super) closing: CancellationToken,
    /// The right to wait for a row on a connection of one's own.
    pub(super) alone: Semaphore,
    pub(super) control: mpsc::UnboundedSender<Command>,
    pub(super) tidings: Tidings,
    /// This opening's number: the high half of its execution ids.
    pub(super) block: i64,
    next_id: AtomicI64,
    mine: Mutex<HashMap<Incarnation, String>>,
    silent: Arc<Silence>,
}

/// When a connection last met with silence: those of a pool that are as old lead to the same server, and are not tried one by one.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<Instant>>);

impl Silence {
    /// Whether what is so old is younger than the last silence.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_none_or(|at| at.elapsed() > age)
    }
}

impl Shared {
    pub(super) fn new(
        name: String,
        options: OpenOptions,
        sql: Sql,
        block: i64,
        now_ms: i64,
        control: mpsc::UnboundedSender<Command>,
        silent: Arc<Silence>,
    ) -> Self {
        Self {
            name,
            options,
            sql,
            queue: Queue::default(),
            counters: Counters::default(),
            clock: Clock::new(now_ms),
            changes: watch::Sender::new(0),
            news: watch::Sender::new(0),
            ended: watch::Sender::new(0),
            put_off: watch::Sender::new(0),
            closing: CancellationToken::new(),
            alone: Semaphore::new(ALONE),
            control,
            tidings: Tidings::default(),
            block,
            next_id: AtomicI64::new(block << COUNTER_BITS),
            mine: Mutex::default(),
            silent,
        }
    }

    /// Takes nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        self.queue.close();
        self.closing.cancel();
    }

    /// A connection was given up since nobody answered.
    pub(super) fn note_silence(&self) {
        *self.silent.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn execution_id(&self) -> ExecutionId {
        ExecutionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Workers of this process have something to look at.
    pub(super) fn tick(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Clients of this process have something to look at.
    pub(super) fn tell_clients(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// The incarnations of this process, each with its task queue.
    pub(super) fn mine(&self) -> MutexGuard<'_, HashMap<Incarnation, String>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something for whoever owns an execution, or may claim it.
    pub(super) fn tell_owner(&self, owner: Option<i64>, queue: &str) {
        match owner {
            Some(owner) => self.tell(Tiding::Worker(owner)),
            None => self.tell_queue(queue),
        }
    }

    /// Something for a worker, and nobody here knows which.
    pub(super) fn tell_all_workers(&self) {
        self.tell(Tiding::Workers);
    }

    /// Something to claim in this task queue.
    pub(super) fn tell_queue(&self, queue: &str) {
        self.tell(Tiding::queue(queue));
    }

    /// Something that a client may wait for.
    pub(super) fn tell_news(&self) {
        self.tell_clients();
        self.tidings.add(Tiding::News);
    }

    /// Here at once where it concerns this process, elsewhere by a notification.
    pub(super) fn tell(&self, tiding: Tiding) {
        if self.concerns(&tiding) {
            self.tick();
        }
        self.tidings.add(tiding);
    }

    /// Whether a worker of this process has to look.
    pub(super) fn concerns(&self, tiding: &Tiding) -> bool {
        let mine = self.mine();
        match tiding {
            Tiding::Worker(id) => mine.contains_key(&Incarnation(*id)),
            Tiding::Queue(_) => mine.values().any(|queue| Tiding::queue(queue) == *tiding),
            Tiding::Workers => !mine.is_empty(),
            Tiding::News => false,
        }
    }

    /// Asks the test's hook for a fault at this stage.
    pub(super) fn fault(&self, stage: Stage) -> Result<(), Failed> {
        let Some(fault) = self.options.fault.as_ref().and_then(|hook| hook(stage)) else {
            return Ok(());
        };
        let path = self.name.clone();
        let message = "injected".to_owned();
        let (kind, error) = match fault {
            Fault::Lost => (Kind::Broken, StoreError::Unknown { message }),
            Fault::Busy => (Kind::Busy, StoreError::Busy { path, waited: Duration::ZERO }),
            Fault::Full => (Kind::Full, StoreError::Full { path }),
            Fault::ReadOnly => (Kind::ReadOnly, StoreError::ReadOnly { path }),
            Fault::Fsync => (Kind::Io, StoreError::Io { path, message, source: None }),
        };
        Err(Failed { kind, error })
    }

    /// The error of a fault that a test injects at this stage of an attempt.
    pub(super) fn fail(&self, stage: Stage) -> Result<(), StoreError> {
        self.fault(stage).map_err(|failed| match failed.error {
            StoreError::Busy { .. } => StoreError::Conflicting { message: "injected".to_owned() },
            error => error,
        })
    }

    /// An error on the user's own connection: none of it says anything of the store.
    pub(super) fn user_error(&self, error: sqlx::Error) -> StoreError {
        let message = error.to_string();
        match super::failure::kind(&error) {
            Kind::Refused => StoreError::BadRow { message },
            Kind::Busy => StoreError::Conflicting { message },
            _ => self.error(error),
        }
    }

    /// The store's error for a call's error.
    pub(super) fn error(&self, error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolTimedOut => StoreError::Unreachable {
                path: self.name.clone(),
                message: format!(
                    "its {} connections were busy, or the server did not answer, for {} s",
                    self.options.connections,
                    self.options.busy_timeout.as_secs()
                ),
            },
            sqlx::Error::PoolClosed => StoreError::Closed,
            error => super::failure::store_error(&self.name, error, Duration::ZERO),
        }
    }
}

/// What one process has to tell the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tiding {
    /// An execution may have closed, been suspended or answered.
    News,
    /// All workers should look.
    Workers,
    /// A worker has a message.
    Worker(i64),
    /// Something is claimable in the task queue with this key.
    Queue(i64),
}

/// A notification holds 8,000 bytes; beyond so many tidings it says "all".
const MOST: usize = 256;

/// Collects tidings until the next notification: at most one in 10 ms, however much there is to tell.
#[derive(Default)]
pub(super) struct Tidings {
    waiting: Mutex<BTreeSet<Tiding>>,
    pub(super) some: Notify,
}

impl Tidings {
    fn add(&self, tiding: Tiding) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        if waiting.len() <= MOST {
            waiting.insert(tiding);
        }
        drop(waiting);
        if first {
            self.some.notify_one();
        }
    }

    /// What is to be told, as a notification's payload.
    pub(super) fn take(&self) -> Option<String> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        match waiting.len() {
            0 => None,
            1..=MOST => Some(waiting.iter().map(Tiding::text).collect::<Vec<_>>().join(",")),
            _ => Some("*".to_owned()),
        }
    }
}

impl Tiding {
    /// Of this task queue.
    pub(super) fn queue(name: &str) -> Self {
        Self::Queue(super::sql::lock_key("", "queue", name))
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::News => "n".to_owned(),
            Self::Workers => "a".to_owned(),
            Self::Worker(id) => format!("w{id}"),
            Self::Queue(key) => format!("q{key}"),
        }
    }

    /// The tidings of a payload. What a later version may add is left out; `None` where all should look.
    pub(super) fn read(payload: &str) -> Option<Vec<Self>> {
        if payload == "*" {
            return None;
        }
        let one = |text: &str| match text.split_at_checked(1)? {
            ("n", "") => Some(Self::News),
            ("a", "") => Some(Self::Workers),
            ("w", id) => id.parse().ok().map(Self::Worker),
            ("q", key) => key.parse().ok().map(Self::Queue),
            _ => None,
        };
        Some(payload.split(',').filter_map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidings_come_as_they_went() {
        let tidings = Tidings::default();
        assert_eq!(tidings.take(), None);
        for tiding in [Tiding::Worker(7), Tiding::News, Tiding::Queue(-3), Tiding::Worker(7)] {
            tidings.add(tiding);
        }
        let read = Tiding::read(&tidings.take().unwrap()).unwrap();
        assert_eq!(read, [Tiding::News, Tiding::Worker(7), Tiding::Queue(-3)]);
        assert_eq!(tidings.take(), None);
        (0..1_000).for_each(|id| tidings.add(Tiding::Worker(id)));
        assert_eq!(Tiding::read(&tidings.take().unwrap()), None, "too many to name are all");
        assert_eq!(Tiding::read("x1,n,é"), Some(vec![Tiding::News]), "a later version may say more");
    }
}
