//! The trace: one line per event, with the virtual time. It is kept only on request. Its digest is always
//! computed, because two runs of one seed must have the same.

use super::weather::lock;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module documentation.
pub(super) struct Trace {
    /// Virtual ms since the beginning of the world.
    pub(super) now_ms: AtomicU64,
    kept: bool,
    lines: Mutex<Vec<String>>,
    digest: Mutex<DefaultHasher>,
}

impl Trace {
    pub(super) fn new(kept: bool) -> Self {
        // The hasher's keys are fixed, unlike those of a `HashMap`.
        let digest = Mutex::new(DefaultHasher::new());
        Self { now_ms: AtomicU64::new(0), kept, lines: Mutex::default(), digest }
    }

    pub(super) fn add(&self, line: impl FnOnce() -> String) {
        let line = format!("{:>8} {}", self.now_ms.load(Ordering::Relaxed), line());
        line.hash(&mut *lock(&self.digest));
        if self.kept {
            lock(&self.lines).push(line);
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    pub(super) fn digest(&self) -> u64 {
        lock(&self.digest).finish()
    }
}
