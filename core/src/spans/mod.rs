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
mod scope;
mod table;

pub(crate) use scope::Tracing;

use forward::FORWARD;
use scope::{SCOPE, Scope, scope};
use tracing::dispatcher::{self, DefaultGuard};

impl Tracing {
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
