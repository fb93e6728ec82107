//! How a database is opened.

use crate::store::FaultHook;
use crate::store::owner::LEASE;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How a database is opened. `Default` is what is meant for use.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// How long a call waits for a lock that another program holds. Default: 10 s. Appends wait without limit.
    pub(crate) busy_timeout: Duration,
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// How long the transaction of an attempt may keep the writer waiting. Default: 5 s, of a lease's 12.
    pub(crate) attempt_limit: Duration,
    /// Connections that read. Default: 4.
    pub(crate) readers: u32,
    /// Faults for tests. Default: none.
    pub(crate) fault: Option<FaultHook>,
    /// What tests add to the wall clock, in ms. Default: none.
    pub(crate) skew_ms: Option<Arc<AtomicI64>>,
}

impl OpenOptions {
    pub(super) fn skew_ms(&self) -> i64 {
        self.skew_ms.as_ref().map_or(0, |skew| skew.load(Ordering::Relaxed))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(10),
            lease: LEASE,
            attempt_limit: Duration::from_secs(5),
            readers: 4,
            fault: None,
            skew_ms: None,
        }
    }
}
