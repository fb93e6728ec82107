//! The limits of a worker, with their defaults.

use crate::activity::gate::OwnLimit;
use std::collections::BTreeMap;
use std::time::Duration;

/// The limits of a worker.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) slots: usize,
    /// By the names of activities.
    pub(super) own_limits: BTreeMap<&'static str, OwnLimit>,
    pub(super) threads: usize,
    pub(super) cache_bytes: usize,
    pub(super) grace: Duration,
    pub(super) build: String,
    pub(super) max_crashes: u32,
    pub(super) shows_values: bool,
    /// Whether each turn is replayed and compared.
    #[cfg(feature = "testing")]
    pub(super) checks_replay: bool,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            slots: 100,
            own_limits: BTreeMap::new(),
            threads: cores.clamp(1, 4),
            cache_bytes: 256 * 1024 * 1024,
            grace: Duration::from_secs(10),
            build: build_of_this_program(),
            max_crashes: 5,
            shows_values: false,
            #[cfg(feature = "testing")]
            checks_replay: false,
        }
    }
}

/// Length and modification time of the program's file. It differs between builds, and is the same in all
/// processes of one build.
fn build_of_this_program() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let stamp = file.map(|file| {
        let changed = file.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        format!(
            "{}-{:x}-{:x}",
            env!("CARGO_PKG_VERSION"),
            file.len(),
            changed.unwrap_or_default().as_millis()
        )
    });
    stamp.unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned())
}
