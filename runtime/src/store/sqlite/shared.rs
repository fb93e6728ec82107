//! What the store's handle and its writer share: the queue, the clock, ids, counters.

use super::job::Queued;
use super::lease::LifeLock;
use super::open::OpenOptions;
use crate::store::Counters;
use crate::store::clock::Clock;
use crate::store::queue::Queue;
use abide_core::ExecutionId;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// An id's low bits: a process can make a million million of them from one block (at 10,000 starts a second for three
/// years); 8 million openings are left for the high bits.
const COUNTER_BITS: u32 = 40;

/// A call that takes this long says that something stalls this process's writing.
const SLOW: Duration = Duration::from_secs(2);

/// Shared by [`SqliteStore`](super::SqliteStore) and the writer's thread.
pub(super) struct Shared {
    /// The file, resolved.
    pub(super) path: PathBuf,
    pub(super) options: OpenOptions,
    pub(super) queue: Queue<Queued>,
    pub(super) counters: Counters,
    pub(super) clock: Clock,
    pub(super) changes: watch::Sender<u64>,
    /// Whether the writer has ended.
    pub(super) closed: watch::Sender<bool>,
    pub(super) locks: Mutex<HashMap<i64, LifeLock>>,
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
            closed: watch::Sender::new(false),
            locks: Mutex::default(),
            next_id: AtomicI64::new(block << COUNTER_BITS),
            calm_since: Mutex::new(Instant::now()),
            leases: Mutex::default(),
        }
    }

    /// Those of these leases, `(worker, lease_until)`, that have not been renewed for a whole lease by this process's
    /// monotonic clock. A wall clock that is set forward makes nobody late.
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

    /// The lease of this worker by its last renewal, where it has not been renewed for a whole lease since that was seen.
    pub(super) fn late(&self, worker: i64) -> Option<i64> {
        let seen = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&worker).filter(|(_, since)| since.elapsed() >= self.options.lease).map(|(until, _)| *until)
    }

    pub(super) fn execution_id(&self) -> ExecutionId {
        ExecutionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Something was written that a worker should look at.
    pub(super) fn tick(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A lock or a full disk holds this process up.
    pub(super) fn disturbed(&self) {
        *self.calm_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A slow call is a disturbance that nobody reported.
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
