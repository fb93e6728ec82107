//! What a run hands on to the run that goes on for it.

use super::Execution;
use super::turn::Input;
use crate::carried::{Carried, CarriedCancel, CarriedSignal};
use crate::event::Event;
use crate::primitive::continue_as_new::carry::{self, Taken};
use crate::start_context::{NextAttempt, StartContext};
use crate::text::bounded;

impl Execution {
    /// The inputs that a turn did not deliver. Those that the run before has handed on are in no inbox: they
    /// are recorded, so that they are neither lost nor delivered, or handed on again if the run has ended.
    pub(crate) fn not_delivered(&mut self, rest: Vec<Taken>) -> Vec<Input> {
        let mut undelivered = Vec::new();
        for (input, is_carried) in rest {
            match input {
                input if !is_carried => undelivered.push(input),
                Input::Signal { name, input, request_id } if self.ctx.halted() => {
                    self.keep(Event::Signaled { name, input, request_id, handled: false });
                }
                Input::Cancel { request_id, reason } if self.ctx.halted() => {
                    self.keep(Event::CancelRequested { request_id, reason: bounded(reason) });
                }
                Input::Signal { name, input, request_id } => {
                    self.left.signals.push(CarriedSignal { name, input, request_id });
                }
                Input::Cancel { request_id, reason } => {
                    self.left.cancel.get_or_insert(CarriedCancel { request_id, reason });
                }
                _ => {}
            }
        }
        undelivered
    }

    /// Records an input that is delivered only when the run is loaded again.
    fn keep(&self, event: Event) {
        let marked = self.ctx.draft().marked();
        self.ctx.rollback(marked);
        self.ctx.record(event);
        self.ctx.draft().mark();
    }

    /// What the run hands on, once it has ended as another run is to go on for it.
    pub fn carried(&self) -> Carried {
        let run_id = &self.ctx.info.borrow().run_id;
        let mut carried = carry::of(&self.ctx.tables, run_id, self.ctx.now_ms());
        carried.signals.extend(self.left.signals.iter().cloned());
        carried.cancel = carried.cancel.or_else(|| self.left.cancel.clone());
        if mutant!(ForgetCarried) {
            (carried.updates, carried.known) = (Vec::new(), Vec::new());
        }
        carried.limited(self.ctx.now_ms())
    }

    /// What the run that goes on begins with besides its input: what this one began with, but for what is carried.
    pub fn hands_on(&self) -> StartContext {
        StartContext { carried: self.carried(), failed_runs: 0, ..self.begun.context.clone() }
    }

    /// Tells when the time of the chain is up, before [`Execution::replay`] and the first turn. No attempt of the
    /// workflow begins then or later.
    pub fn chain_ends(&mut self, at_ms: Option<i64>) {
        self.begun.chain_by_ms = at_ms;
    }

    /// Whether another attempt of the workflow may follow a run that fails or runs out of time.
    pub fn may_be_retried(&self) -> bool {
        self.begun.input.is_some()
    }

    /// The next attempt of the workflow, once the run has failed and [`Turn::next_attempt_ms`] says that one follows.
    ///
    /// [`Turn::next_attempt_ms`]: super::Turn::next_attempt_ms
    pub fn next_attempt(&self, due_ms: i64) -> Option<NextAttempt> {
        let input = self.begun.input.clone()?;
        Some(self.begun.context.clone().next_attempt(input, self.carried(), due_ms))
    }
}
