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
    /// The machine of the process, whose operating system shows the other processes there that it has ended.
    /// Default: `None`, unknown.
    pub(crate) machine: Option<u32>,
    /// Whether the process has its own clock, set by each renewal. Default: false, it reads the server's.
    pub(crate) own_clock: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { lease: LEASE, fault: None, machine: None, own_clock: false }
    }
}
