//! `tracing` in workflow code: it evaluates the same whoever listens, and a replay tells nothing again.
//!
//! ```text
//! workflow code ─ info!(..), info_span!(..) ─▶ Forward (wants everything) ─┬ live: to the application, if it wants it
//!                                                                         └ replay: kept, or dropped
//! ```
//! While code of an execution runs, [`Forward`] is the thread's dispatcher, live and on replay alike. It is interested in
//! every callsite, so `tracing` evaluates the arguments whatever the application's subscriber, its filter or its level
//! are, and without one as well. What is told goes on to the application's subscriber, which filters it as ever.
//!
//! A span that a replay makes is kept with its fields (`table`), and is made in the application's subscriber when live
//! code first enters it. Which spans an execution has entered is its own: they are left at the end of each turn and
//! entered again in the next one, so that none covers what other executions do on the thread.
//!
//! Nothing here may hold a lock or a borrow while it calls a subscriber: that formats values, which is user code.

mod fields;
mod forward;
mod table;

use forward::FORWARD;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use tracing::dispatcher::{self, DefaultGuard, Dispatch};

/// The spans that an execution has entered and not left, the innermost last; and how it is told.
#[derive(Clone, Default)]
pub(crate) struct Tracing {
    spans: Rc<RefCell<Vec<u64>>>,
    /// Each value is formatted, whether somebody listens or not.
    format: Rc<Cell<bool>>,
}

/// Whose code runs on this thread, and who hears of it.
#[derive(Clone)]
struct Scope {
    application: Dispatch,
    /// Recorded history is repeated, or the live state is dropped.
    muted: bool,
    entered: Tracing,
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

fn scope() -> Option<Scope> {
    SCOPE.with_borrow(Clone::clone)
}

impl Tracing {
    /// Formats what live code tells, even if nobody listens: what a `Display` changes then shows in a test.
    pub(crate) fn format_everything(&self) {
        self.format.set(true);
    }

    /// Until the guard is dropped, `tracing` in code of this execution is told, or not if `muted`.
    pub(crate) fn begin(&self, muted: bool) -> Running {
        let outer = scope();
        let application = match &outer {
            Some(outer) => outer.application.clone(),
            None => dispatcher::get_default(Clone::clone),
        };
        let scope = Scope { application, muted, entered: self.clone() };
        if !muted {
            for id in self.spans.borrow().clone() {
                table::enter(&scope.application, id);
            }
        }
        let forwarding = dispatcher::set_default(&FORWARD[0]);
        SCOPE.set(Some(scope));
        Running { outer, forwarding: Some(forwarding) }
    }

    fn push(&self, id: u64) {
        self.spans.borrow_mut().push(id);
    }

    /// Whether it was entered; it is not any more.
    fn remove(&self, id: u64) -> bool {
        let mut spans = self.spans.borrow_mut();
        let at = spans.iter().rposition(|other| *other == id);
        at.map(|at| spans.remove(at)).is_some()
    }

    fn innermost(&self) -> Option<u64> {
        self.spans.borrow().last().copied()
    }
}

/// Code of an execution runs; see [`Tracing::begin`].
pub(crate) struct Running {
    outer: Option<Scope>,
    forwarding: Option<DefaultGuard>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let ended = SCOPE.replace(self.outer.take());
        self.forwarding = None;
        if let Some(Scope { muted: false, entered, .. }) = ended {
            for id in entered.spans.borrow().clone().into_iter().rev() {
                table::exit(id);
            }
        }
    }
}
