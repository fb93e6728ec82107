//! The async bodies that are being polled, and the wakers that engine futures register.

use super::waker::{Frame, Strict};
use std::cell::{Cell, RefCell};
use std::task::{Context as TaskContext, Waker};

/// The stack of bodies, the innermost last, and the number of waits; see `guard`.
#[derive(Default)]
pub(crate) struct Bodies {
    frames: RefCell<Vec<Frame>>,
    waits: Cell<u64>,
}

/// The values that [`Bodies::is_foreign`] compares with.
pub(crate) struct Before {
    waits: u64,
    holders: usize,
}

impl Bodies {
    /// Forgets all bodies: another task is polled.
    pub(super) fn clear(&self) {
        self.frames.borrow_mut().clear();
    }

    /// If `cx` has the strict waker, returns the outer waker of the body; if not, the waker of `cx`, which belongs to a
    /// combinator.
    pub(crate) fn outer_waker(&self, cx: &TaskContext<'_>) -> Waker {
        match self.frames.borrow().last() {
            Some(frame) if frame.is_strict(cx.waker()) => frame.outer.clone(),
            _ => cx.waker().clone(),
        }
    }

    /// Counts a wait of an engine future.
    pub(crate) fn note_wait(&self) {
        self.waits.set(self.waits.get() + 1);
    }

    pub(crate) fn before(&self, cx: &TaskContext<'_>) -> Before {
        Before { waits: self.waits.get(), holders: self.holders(cx) }
    }

    /// Whether a future that the engine does not own waits in a body that stayed pending: no engine future
    /// has registered a wait, or some future has kept the strict waker.
    pub(crate) fn is_foreign(&self, cx: &TaskContext<'_>, before: &Before) -> bool {
        self.holders(cx) > before.holders || self.waits.get() == before.waits
    }

    fn holders(&self, cx: &TaskContext<'_>) -> usize {
        match self.frames.borrow().last() {
            Some(frame) if frame.is_strict(cx.waker()) => frame.holders(),
            _ => 0,
        }
    }

    pub(crate) fn enter(&self, strict: &Strict, cx: &TaskContext<'_>) -> Entered<'_> {
        let outer = self.outer_waker(cx);
        self.frames.borrow_mut().push(strict.frame(outer));
        Entered(self)
    }
}

/// Marks a body as being polled until it is dropped.
pub(crate) struct Entered<'a>(&'a Bodies);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.frames.borrow_mut().pop();
    }
}
