//! The waits for permits, locks and channels: what a run without anything else to wait for is suspended with.

use crate::site::Site;
use std::collections::BTreeMap;

/// The futures of this execution that wait for a permit, a lock or a channel, in the order they began to wait.
#[derive(Default)]
pub(crate) struct Waits {
    next: u64,
    waiting: BTreeMap<u64, Option<&'static Site>>,
}

impl Waits {
    pub(super) fn begin(&mut self, site: Option<&'static Site>) -> u64 {
        let id = self.next;
        self.next += 1;
        self.waiting.insert(id, site);
        id
    }

    pub(super) fn end(&mut self, id: u64) {
        self.waiting.remove(&id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where the oldest of them waits.
    pub(crate) fn first_site(&self) -> Option<&'static Site> {
        self.waiting.values().next().copied().flatten()
    }
}
