//! How a process connects.

use crate::store::{FaultHook, LEASE};
use std::time::Duration;

/// How a process connects.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// Faults for tests. Default: none.
    pub(crate) fault: Option<FaultHook>,
    /// The machine that the process is on, whose operating system tells the others there when it has ended. Default: `None`, unknown.
    pub(crate) machine: Option<u32>,
    /// Whether the process has a clock of its own, set by each renewal. Default: false, it reads the server's.
    pub(crate) own_clock: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { lease: LEASE, fault: None, machine: None, own_clock: false }
    }
}
