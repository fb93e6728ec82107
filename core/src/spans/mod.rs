//! `tracing` in workflow code: it evaluates the same with any subscriber, and a replay repeats no output.
//!
//! ```text
//! workflow code ─ info!(..), info_span!(..) ─▶ Forward (wants everything) ─┬ live: to the application, if it wants it
//!                                                                         └ replay: kept, or dropped
//! ```
//! While code of an execution runs, [`Forward`] is the thread's dispatcher, live and on replay alike. It
//! wants every callsite, so `tracing` always evaluates the arguments: with any subscriber, filter or level of
//! the application, and without a subscriber. The output goes on to the application's subscriber, which
//! filters it as usual.
//!
//! A span created during a replay is kept with its fields (`table`). It is made in the application's
//! subscriber when live code first enters it. Each execution has its own list of entered spans. They are left
//! at the end of each turn and entered again in the next one, so that none covers the work of other
//! executions on the thread.
//!
//! No code here may hold a lock or a borrow while it calls a subscriber: a subscriber formats values, which
//! is user code.

mod fields;
mod forward;
mod scope;
mod table;

pub(crate) use scope::Tracing;

use forward::FORWARD;
use scope::{SCOPE, Scope, scope};
use tracing::dispatcher::{self, DefaultGuard};

impl Tracing {
    /// Until the guard is dropped, `tracing` output of this execution goes to the subscriber, unless it is
    /// `muted`.
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
}

/// Marks that code of an execution runs; see [`Tracing::begin`].
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
