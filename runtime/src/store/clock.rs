//! The database's clock as a process follows it between two measurements (PROTOCOL 20).

use std::sync::atomic::{AtomicI64, Ordering};
use tokio::time::Instant;

/// The database's clock, kept running by the process's monotonic one between renewals (PROTOCOL 20).
pub(crate) struct Clock {
    started: Instant,
    /// The database's time at `started`, in ms, by the newest measurement.
    base_ms: AtomicI64,
    /// The newest time returned.
    last_ms: AtomicI64,
}

impl Clock {
    /// The database says that it is `now_ms`.
    pub(crate) fn new(now_ms: i64) -> Self {
        Self { started: Instant::now(), base_ms: AtomicI64::new(now_ms), last_ms: AtomicI64::new(0) }
    }

    /// The database says now that it is `now_ms`.
    pub(crate) fn set(&self, now_ms: i64) {
        // Never lowered: after the clock was set back, timers would stop until it has caught up.
        self.base_ms.fetch_max(now_ms - self.started.elapsed().as_millis() as i64, Ordering::Relaxed);
    }

    /// The database's time, in ms since the Unix epoch. Never goes back.
    pub(crate) fn now_ms(&self) -> i64 {
        let now = self.base_ms.load(Ordering::Relaxed) + self.started.elapsed().as_millis() as i64;
        self.last_ms.fetch_max(now, Ordering::Relaxed).max(now)
    }
}
