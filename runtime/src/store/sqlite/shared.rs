//! What the store's handle and its writer share: the queue, the clock, ids, counters.

use super::job::Item;
use super::life::LifeLock;
use super::options::OpenOptions;
use crate::store::clock::Clock;
use crate::store::failure::{Failed, Kind, fault};
use crate::store::queue::Queue;
use crate::store::stream::Readers;
use crate::store::{Counters, Stage, StoreError};
use abide_core::ExecutionId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// An id's low bits: a process can make a million million of them from one block (at 10,000 starts a second for three
/// years); 8 million openings are left for the high bits.
const COUNTER_BITS: u32 = 40;

/// A call that takes this long says that something stalls this process's writing.
const SLOW: Duration = Duration::from_secs(2);

/// Shared by [`SqliteStore`](super::store::SqliteStore) and the writer's thread.
pub(super) struct Shared {
    /// The file, resolved.
    pub(super) path: PathBuf,
    pub(super) options: OpenOptions,
    pub(super) queue: Queue<Item>,
    pub(super) counters: Counters,
    pub(super) clock: Clock,
    pub(super) changes: watch::Sender<u64>,
    /// See [`Schedules::schedule_news`](crate::store::Schedules::schedule_news).
    pub(super) schedules: watch::Sender<u64>,
    pub(super) readers: Readers,
    /// Whether the writer has ended.
    pub(super) closed: watch::Sender<bool>,
    locks: Mutex<HashMap<i64, LifeLock>>,
    /// This opening's number: the high half of its execution ids.
    pub(super) block: i64,
    next_id: AtomicI64,
    /// Since when this process writes without being held up.
    calm_since: Mutex<Instant>,
    /// The leases of other workers, each with the time since when it has not been renewed, as seen from here.
    leases: Mutex<HashMap<i64, (i64, Instant)>>,
}

impl Shared {
    pub(super) fn new(path: PathBuf, options: OpenOptions, block: i64) -> Self {
        Self {
            path,
            queue: Queue::default(),
            counters: Counters::default(),
            clock: Clock::new(wall_clock_ms() + options.skew_ms()),
            options,
            changes: watch::Sender::new(0),
            schedules: watch::Sender::new(0),
            readers: Readers::default(),
            closed: watch::Sender::new(false),
            locks: Mutex::default(),
            block,
            next_id: AtomicI64::new(block << COUNTER_BITS),
            calm_since: Mutex::new(Instant::now()),
            leases: Mutex::default(),
        }
    }

    /// Those of these leases, `(worker, lease_until)`, that have not been renewed for a whole lease by this process's
    /// monotonic clock. A wall clock that is set forward makes no worker late.
    pub(super) fn unrenewed(&self, leases: &[(i64, i64)]) -> Vec<i64> {
        let mut seen = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *seen);
        for &(worker, until) in leases {
            let known = before.get(&worker).filter(|(known, _)| *known == until).copied();
            seen.insert(worker, known.unwrap_or((until, Instant::now())));
        }
        let late = seen.iter().filter(|(_, (_, since))| since.elapsed() >= self.options.lease);
        late.map(|(worker, _)| *worker).collect()
    }

    /// The lease of this worker by its last renewal, where it has not been renewed for a whole lease since
    /// that was seen.
    pub(super) fn late(&self, worker: i64) -> Option<i64> {
        let seen = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&worker).filter(|(_, since)| since.elapsed() >= self.options.lease).map(|(until, _)| *until)
    }

    /// The locks of this process's workers.
    pub(super) fn life_locks(&self) -> MutexGuard<'_, HashMap<i64, LifeLock>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn execution_id(&self) -> ExecutionId {
        ExecutionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks the test's hook for a fault at this stage.
    pub(super) fn fault(&self, stage: Stage) -> Result<(), Failed> {
        match &self.options.fault {
            Some(hook) => fault(Some(hook), stage, &self.path.display().to_string()),
            None => Ok(()),
        }
    }

    /// The error of a fault that a test injects at this stage.
    pub(super) fn fail(&self, stage: Stage) -> Result<(), StoreError> {
        self.fault(stage).map_err(|failed| failed.error)
    }

    /// How long to pause for a lock or for room, and what to tell those who do not wait.
    pub(super) fn obstacle(&self, kind: Kind, waited: Duration) -> (Duration, StoreError) {
        let path = self.path.display().to_string();
        match kind {
            Kind::Full => (Duration::from_millis(500), StoreError::Full { path }),
            _ => (Duration::from_millis(20), StoreError::Busy { path, waited }),
        }
    }

    /// Something was written that a worker should look at.
    pub(super) fn tick(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// The worker of this process that steps schedules has something to look at.
    pub(super) fn tell_schedules(&self) {
        self.schedules.send_modify(|count| *count += 1);
    }

    /// A lock or a full disk holds this process up.
    pub(super) fn disturbed(&self) {
        *self.calm_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A slow call counts as a disturbance.
    pub(super) fn note_duration(&self, duration: Duration) {
        if duration > SLOW {
            self.disturbed();
        }
    }

    /// Whether this process could write for a whole lease. If not, others' leases may have run out for the same
    /// reason, and they must have their turn to renew before anybody judges them.
    pub(super) fn is_calm(&self) -> bool {
        self.calm_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > self.options.lease
    }
}

/// The computer's clock: on one machine it is the database's.
fn wall_clock_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64)
}
