//! What the store's handle, its writers and its control task share.

use super::command::Command;
use super::connection::{NO_ANSWER, no_answer};
use super::failure;
use super::notification::{Notification, Pending};
use super::options::OpenOptions;
use super::sql::Sql;
use super::timeout::LastTimeout;
use crate::store::clock::Clock;
use crate::store::decide::Notify;
use crate::store::failure::{Failed, Kind, fault};
use crate::store::queue::Queue;
use crate::store::stream::Readers;
use crate::store::{Counters, Stage, StoreError};
use abide_core::{ExecutionId, Incarnation};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How many of an execution's id bits count within a process (see SQLite's).
const COUNTER_BITS: u32 = 40;

/// How many writers there are; each has a slot of the lease (PROTOCOL 12).
pub(super) const SLOTS: usize = 2;

/// How many closes wait for their rows at once, each with a connection for itself and one that looks who
/// holds its row. The others go on trying with the batches.
pub(super) const ALONE: usize = 2;

/// Shared by [`PostgresStore`](super::store::PostgresStore) and what runs for it.
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
    /// See [`Schedules::schedule_news`](crate::store::Schedules::schedule_news).
    pub(super) schedules: watch::Sender<u64>,
    pub(super) readers: Readers,
    /// How many writers have ended.
    pub(super) ended: watch::Sender<usize>,
    /// How many appends are put off, or close alone: the store's thread ends after them.
    pub(super) put_off: watch::Sender<usize>,
    /// Cancelled with the queue's end: what is put off waits no longer.
    pub(super) closing: CancellationToken,
    /// The right to wait for a row on a connection of one's own.
    pub(super) alone: Semaphore,
    pub(super) control: mpsc::UnboundedSender<Command>,
    pub(super) pending: Pending,
    /// This opening's number: the high half of its execution ids.
    pub(super) block: i64,
    next_id: AtomicI64,
    mine: Mutex<HashMap<Incarnation, String>>,
    /// The task queues in which tasks with limits or keys were waiting at the last claim.
    limited: Mutex<BTreeSet<String>>,
    last_timeout: Arc<LastTimeout>,
}

impl Shared {
    pub(super) fn new(
        name: String,
        options: OpenOptions,
        sql: Sql,
        block: i64,
        now_ms: i64,
        control: mpsc::UnboundedSender<Command>,
        last_timeout: Arc<LastTimeout>,
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
            schedules: watch::Sender::new(0),
            readers: Readers::default(),
            ended: watch::Sender::new(0),
            put_off: watch::Sender::new(0),
            closing: CancellationToken::new(),
            alone: Semaphore::new(ALONE),
            control,
            pending: Pending::default(),
            block,
            next_id: AtomicI64::new(block << COUNTER_BITS),
            mine: Mutex::default(),
            limited: Mutex::default(),
            last_timeout,
        }
    }

    /// Takes nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        self.queue.close();
        self.closing.cancel();
    }

    /// The answer, unless the server gives none for too long: then the connection is to be closed.
    pub(super) async fn answered<T>(
        &self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        tokio::time::timeout(NO_ANSWER, answer).await.unwrap_or_else(|_| {
            self.note_timeout();
            Err(no_answer(NO_ANSWER))
        })
    }

    /// A connection was given up since the server did not answer.
    pub(super) fn note_timeout(&self) {
        self.last_timeout.note();
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

    /// The worker of this process that steps schedules has something to look at.
    pub(super) fn tell_schedules(&self) {
        self.schedules.send_modify(|count| *count += 1);
    }

    /// The incarnations of this process, each with its task queue.
    pub(super) fn mine(&self) -> MutexGuard<'_, HashMap<Incarnation, String>> {
        self.mine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task queues whose claims are transactions, as far as is known. A hint.
    pub(super) fn limited(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.limited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Here at once where it concerns this process, elsewhere by a notification.
    fn tell(&self, notification: Notification) {
        if self.concerns(&notification) {
            self.tick();
        }
        self.pending.add(notification);
    }

    /// Whether a client of this process has to look.
    pub(super) fn is_news(&self, notification: &Notification) -> bool {
        match notification {
            Notification::News => true,
            Notification::Reply(block) => *block == self.block,
            _ => false,
        }
    }

    /// Whether a worker of this process has to look.
    pub(super) fn concerns(&self, notification: &Notification) -> bool {
        let mine = self.mine();
        match notification {
            Notification::Worker(id) => mine.contains_key(&Incarnation(*id)),
            Notification::Queue(_) => mine.values().any(|queue| Notification::queue(queue) == *notification),
            Notification::Workers => !mine.is_empty(),
            Notification::News
            | Notification::Reply(_)
            | Notification::Stream(_)
            | Notification::Schedules => false,
        }
    }

    /// Asks the test's hook for a fault at this stage.
    pub(super) fn fault(&self, stage: Stage) -> Result<(), Failed> {
        fault(self.options.fault.as_ref(), stage, &self.name)
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
        match failure::kind(&error) {
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
            error => failure::store_error(&self.name, error, Duration::ZERO),
        }
    }
}

impl Notify for Shared {
    fn notify_clients(&self) {
        self.tell_clients();
        self.pending.add(Notification::News);
    }

    fn notify_workers(&self) {
        self.tell(Notification::Workers);
    }

    fn notify_worker(&self, worker: Incarnation) {
        self.tell(Notification::Worker(worker.0));
    }

    fn notify_queue(&self, queue: &str) {
        self.tell(Notification::queue(queue));
    }

    fn notify_readers(&self, execution: ExecutionId) {
        self.readers.tell(execution);
        self.pending.add(Notification::Stream(execution.0));
    }

    fn notify_schedules(&self) {
        self.tell_schedules();
        self.pending.add(Notification::Schedules);
    }

    fn notify_process(&self, block: i64) {
        match block == self.block {
            true => self.tell_clients(),
            false => self.pending.add(Notification::Reply(block)),
        }
    }
}
