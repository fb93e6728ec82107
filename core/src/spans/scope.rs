//! The execution whose code runs on a thread, and the spans that it has entered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tracing::dispatcher::Dispatch;

/// The spans that an execution has entered and not left, the innermost last, and how its output is formatted.
#[derive(Clone, Default)]
pub(crate) struct Tracing {
    pub(super) spans: Rc<RefCell<Vec<u64>>>,
    /// Whether each value is formatted even if no subscriber listens.
    pub(super) format: Rc<Cell<bool>>,
}

/// The execution whose code runs on this thread, and the subscriber of its output.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) application: Dispatch,
    /// A replay is running, or the live state is being dropped.
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
    /// Formats the output of live code even if no subscriber listens. Tests then find a `Display` that
    /// changes state.
    pub(crate) fn format_everything(&self) {
        self.format.set(true);
    }

    pub(super) fn push(&self, id: u64) {
        self.spans.borrow_mut().push(id);
    }

    /// Removes a span that was entered. False: it was not entered.
    pub(super) fn remove(&self, id: u64) -> bool {
        let mut spans = self.spans.borrow_mut();
        let at = spans.iter().rposition(|other| *other == id);
        at.map(|at| spans.remove(at)).is_some()
    }

    pub(super) fn innermost(&self) -> Option<u64> {
        self.spans.borrow().last().copied()
    }
}
