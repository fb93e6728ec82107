//! Looking at an execution without changing it: where it waits, queries, and what a replay came to.

use super::program::QueryFault;
use super::tasks::panic_message;
use super::{Execution, Suspension, Trace, context};
use crate::failure::FailureRecord;
use crate::guard::Site;
use crate::ids::EventId;
use crate::payload::Payload;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Execution {
    /// The await points that it waits at, in the order of their place in the code.
    pub fn awaiting(&self) -> Vec<&'static Site> {
        let activities = self.ctx.activities.borrow();
        let timers = self.ctx.timers.borrow();
        let mut sites: Vec<&'static Site> = activities
            .open()
            .filter(|(_, activity)| !activity.cancel_requested)
            .filter_map(|(_, activity)| activity.site)
            .chain(timers.open().filter_map(|(_, timer)| timer.site))
            .chain(self.ctx.state_waiter_sites())
            .collect();
        sites.sort_by_key(|site| (site.file, site.line, site.column));
        sites.dedup();
        sites
    }

    /// Why its replay ended before its journal did, if it did: its state is then that of no moment that anybody has seen.
    pub fn broke_off(&self) -> Option<Suspension> {
        let halt = self.ctx.halt.borrow();
        let reason = &halt.as_ref()?.0;
        // Of a damaged journal only what comes before the damage is loaded.
        let more = self.ctx.history.borrow().has_more_of_the_code();
        (more || reason.code == Suspension::DAMAGED).then(|| reason.clone())
    }

    /// Answers a query from the current state.
    pub fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        self.ctx.read_only.set(true);
        let answer = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.query(name, input)))
        };
        self.ctx.read_only.set(false);
        answer.unwrap_or_else(|panic| Err(QueryFault::Panicked(panic_message(&*panic))))
    }

    /// Keeps a [`Trace`] of each command from now on, for [`Execution::take_trace`]. Asked for before a replay.
    pub fn observe(&self) {
        self.ctx.history.borrow_mut().observe();
    }

    /// What was observed so far. Empty where nobody asked for it.
    pub fn take_trace(&self) -> Trace {
        self.ctx.history.borrow_mut().take_trace()
    }

    /// Signals in its history that no handler has taken and that this code has no handler for.
    pub fn unknown_signals(&self) -> Vec<(EventId, String)> {
        let unknown = self.unhandled.iter().filter(|(_, (name, _))| !self.program.handles(name));
        unknown.map(|(id, (name, _))| (*id, name.clone())).collect()
    }
}
