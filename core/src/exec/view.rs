//! Looks at an execution without changing it: its await points, queries, and the result of a replay.

use super::history::Trace;
use super::program::QueryFault;
use super::suspension::Suspension;
use super::tasks::panic_message;
use super::{Execution, context};
use crate::code::Code;
use crate::failure::FailureRecord;
use crate::payload::Payload;
use crate::site::Site;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Execution {
    /// The await points where it waits, in source order.
    pub fn awaiting(&self) -> Vec<&'static Site> {
        let (activities, timers) = (self.ctx.tables.activities.borrow(), self.ctx.tables.timers.borrow());
        let answers = self.ctx.tables.answers.borrow();
        let children = self.ctx.tables.children.borrow();
        let open = activities.sites().chain(timers.sites()).chain(answers.sites()).chain(children.sites());
        let mut sites: Vec<&'static Site> = open.chain(self.ctx.watch.sites()).collect();
        sites.sort_by_key(|site| (site.file, site.line, site.column));
        sites.dedup();
        sites
    }

    /// Why the replay did not end exactly where the journal ends. `None`: it did. Otherwise the state is one
    /// that no turn has written (PROTOCOL 21). Either the journal goes on, or the code does: it asks for a
    /// command, or reaches an end, that is not in the journal. Code that halts by itself at the journal's
    /// end, as it did in the recorded run, is not a deviation.
    pub fn broke_off(&self) -> Option<Suspension> {
        let history = self.ctx.history.borrow();
        match &*self.ctx.halt.borrow() {
            Some(reason) => {
                // If the journal is damaged, only the part before the damage is loaded.
                let is_elsewhere = matches!(Code::of(&reason.code), Some(Code::Damaged | Code::Mismatch));
                (is_elsewhere || history.has_more_of_the_code()).then(|| reason.clone())
            }
            None if mutant!(AnswerBeyond) => None,
            None if !self.ctx.draft().events.is_empty() || self.ends_beyond_history() => {
                Some(Suspension::beyond(self.ctx.written(), self.ctx.site()))
            }
            None => None,
        }
    }

    /// Whether it has scheduled a child. When it closes, its children may have to be told.
    pub fn had_children(&self) -> bool {
        self.ctx.tables.children.borrow().had_any()
    }

    /// Whether it is a child, whose parent is told of its end. False before its start.
    pub fn is_child(&self) -> bool {
        self.ctx.info().parent.is_some()
    }

    /// Answers a query from the current state.
    pub fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        self.ctx.read_only.set(true);
        let answer = {
            let _running = self.ctx.tracing.begin(false);
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.query(name, input)))
        };
        self.ctx.read_only.set(false);
        answer.unwrap_or_else(|panic| Err(QueryFault::Panicked(panic_message(&*panic))))
    }

    /// Keeps a [`Trace`] of each command from now on, for [`Execution::take_trace`]. Call it before a replay.
    pub fn observe(&self) {
        self.ctx.history.borrow_mut().observe();
    }

    /// The trace so far. Empty without [`Execution::observe`].
    pub fn take_trace(&self) -> Trace {
        self.ctx.history.borrow_mut().take_trace()
    }
}
