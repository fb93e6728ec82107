//! Whose code runs on a thread, and which spans it has entered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tracing::dispatcher::Dispatch;

/// The spans that an execution has entered and not left, the innermost last; and how it is told.
#[derive(Clone, Default)]
pub(crate) struct Tracing {
    pub(super) spans: Rc<RefCell<Vec<u64>>>,
    /// Each value is formatted, whether somebody listens or not.
    pub(super) format: Rc<Cell<bool>>,
}

/// Whose code runs on this thread, and who hears of it.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) application: Dispatch,
    /// Recorded history is repeated, or the live state is dropped.
    pub(super) muted: bool,
    pub(super) entered: Tracing,
}

thread_local! {
    pub(super) static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

pub(super) fn scope() -> Option<Scope> {
    SCOPE.with_borrow(Clone::clone)
}

impl Tracing {
    /// Formats what live code tells, even if nobody listens: what a `Display` changes then shows in a test.
    pub(crate) fn format_everything(&self) {
        self.format.set(true);
    }

    pub(super) fn push(&self, id: u64) {
        self.spans.borrow_mut().push(id);
    }

    /// Whether it was entered; it is not any more.
    pub(super) fn remove(&self, id: u64) -> bool {
        let mut spans = self.spans.borrow_mut();
        let at = spans.iter().rposition(|other| *other == id);
        at.map(|at| spans.remove(at)).is_some()
    }

    pub(super) fn innermost(&self) -> Option<u64> {
        self.spans.borrow().last().copied()
    }
}
