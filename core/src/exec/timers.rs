//! The timers of one execution.

use crate::guard::Site;
use crate::ids::EventId;
use std::collections::BTreeMap;
use std::task::Waker;

/// One timer that the workflow waits for.
pub(crate) struct Timer {
    pub(crate) fire_at_ms: i64,
    pub(crate) site: Option<&'static Site>,
    fired: bool,
    waker: Option<Waker>,
}

/// The timers; see the head of this module.
#[derive(Default)]
pub(crate) struct Timers(BTreeMap<EventId, Timer>);

impl Timers {
    pub(crate) fn start(&mut self, id: EventId, fire_at_ms: i64, site: Option<&'static Site>) {
        self.0.insert(id, Timer { fire_at_ms, site, fired: false, waker: None });
    }

    /// Whether the timer has fired. If not, registers the waker.
    pub(crate) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> bool {
        match self.0.get_mut(&id) {
            Some(timer) if !timer.fired => {
                timer.waker = Some(waker());
                false
            }
            _ => {
                self.0.remove(&id);
                true
            }
        }
    }

    /// The future of `id` was dropped. True: the timer had not fired.
    pub(crate) fn dropped(&mut self, id: EventId) -> bool {
        self.0.remove(&id).is_some_and(|timer| !timer.fired)
    }

    pub(crate) fn fire(&mut self, id: EventId) {
        if let Some(timer) = self.0.get_mut(&id) {
            timer.fired = true;
            if let Some(waker) = timer.waker.take() {
                waker.wake();
            }
        }
    }

    /// The first timer due at `now_ms`, ordered by time and then by number.
    pub(crate) fn next_due(&self, now_ms: i64) -> Option<EventId> {
        let (at, id) = self.open().map(|(id, timer)| (timer.fire_at_ms, id)).min()?;
        (at <= now_ms).then_some(id)
    }

    pub(crate) fn next_at_ms(&self) -> Option<i64> {
        self.open().map(|(_, timer)| timer.fire_at_ms).min()
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = (EventId, &Timer)> {
        self.0.iter().filter(|(_, timer)| !timer.fired).map(|(id, timer)| (*id, timer))
    }
}
