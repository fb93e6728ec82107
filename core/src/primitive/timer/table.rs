//! The timers of one execution.

use crate::exec::pending::Pending;
use crate::ids::EventId;
use crate::site::Site;
use std::task::{Poll, Waker};

/// The timers that the workflow waits for: when each is due, in ms since the Unix epoch.
#[derive(Default)]
pub(crate) struct Timers(Pending<i64, ()>);

impl Timers {
    pub(super) fn start(&mut self, id: EventId, fire_at_ms: i64, site: Option<&'static Site>) {
        self.0.add(id, fire_at_ms, site);
    }

    pub(super) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Poll<()> {
        self.0.poll(id, waker)
    }

    /// The future of `id` was dropped. True: the timer had not fired.
    pub(super) fn dropped(&mut self, id: EventId) -> bool {
        self.0.remove(id).is_some()
    }

    pub(crate) fn fire(&mut self, id: EventId) {
        self.0.end(id, ());
    }

    /// The first timer due at `now_ms`, ordered by time and then by number.
    pub(crate) fn next_due(&self, now_ms: i64) -> Option<EventId> {
        let (at_ms, id) = self.0.iter().map(|(id, at_ms)| (*at_ms, id)).min()?;
        (at_ms <= now_ms).then_some(id)
    }

    pub(crate) fn next_at_ms(&self) -> Option<i64> {
        self.0.iter().map(|(_, at_ms)| *at_ms).min()
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &'static Site> {
        self.0.sites().filter_map(|(_, _, site)| site)
    }
}
