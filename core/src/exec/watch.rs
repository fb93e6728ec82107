//! The bodies that wait for the workflow's state to change.

use crate::site::Site;
use std::cell::{Cell, RefCell};
use std::task::Waker;

/// Counts the moments at which the state may have changed, and wakes those who wait for them.
#[derive(Default)]
pub(crate) struct StateWatch {
    progress: Cell<u64>,
    /// The value of `progress` when the waiters were last woken.
    seen: Cell<u64>,
    waiters: RefCell<Vec<Waiter>>,
}

struct Waiter {
    waker: Waker,
    site: Option<&'static Site>,
    is_timeless: bool,
}

impl StateWatch {
    /// A body made progress or a handler ran, so conditions may have changed.
    pub(crate) fn note_progress(&self) {
        self.progress.set(self.progress.get() + 1);
    }

    /// `is_timeless`: a handler may change the condition, and not only the clock.
    pub(super) fn add(&self, waker: Waker, site: Option<&'static Site>, is_timeless: bool) {
        let mut waiters = self.waiters.borrow_mut();
        match waiters.iter_mut().find(|waiter| waiter.waker.will_wake(&waker)) {
            Some(waiter) => waiter.is_timeless |= is_timeless,
            None => waiters.push(Waiter { waker, site, is_timeless }),
        }
    }

    /// Wakes all waiters if the state may have changed since the last call.
    pub(super) fn wake(&self) {
        if self.seen.replace(self.progress.get()) != self.progress.get() {
            for waiter in self.waiters.take() {
                waiter.waker.wake();
            }
        }
    }

    pub(super) fn sites(&self) -> Vec<&'static Site> {
        self.waiters.borrow().iter().filter_map(|waiter| waiter.site).collect()
    }

    /// Whether a body waits for any condition.
    pub(super) fn has_waiters(&self) -> bool {
        !self.waiters.borrow().is_empty()
    }

    /// Whether a body waits for a condition that a handler may change.
    pub(super) fn waits_for_handlers(&self) -> bool {
        self.waiters.borrow().iter().any(|waiter| waiter.is_timeless)
    }
}
