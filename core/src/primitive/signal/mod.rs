//! Signals: how they reach the handlers of a workflow, and what happens to those that no handler takes.

pub(crate) mod table;

use crate::event::Event;
use crate::exec::program::SignalStep;
use crate::exec::spawned::TaskKind;
use crate::exec::suspension::Suspension;
use crate::exec::tasks::panic_message;
use crate::exec::{Execution, context};
use crate::ids::EventId;
use crate::payload::Payload;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Execution {
    /// A signal was recorded. `handled`: the code that ran at the time had a handler that takes it.
    pub(crate) fn signaled(
        &mut self,
        id: EventId,
        (name, input): (String, Payload),
        request_id: String,
        handled: bool,
    ) {
        self.ctx.tables.signals.borrow_mut().known.insert(request_id);
        if !handled {
            self.ctx.tables.signals.borrow_mut().unhandled.insert(id, (name, input));
        } else if !self.signal(id, &name, &input) && !self.mark_unhandled(id) {
            self.ctx.suspend(Suspension::unhandled(&name, &input));
        }
        self.count_early();
    }

    /// No handler took the signal of event `id`. Marks the event if it is of this turn; returns false if it
    /// is recorded.
    fn mark_unhandled(&self, id: EventId) -> bool {
        let len = self.ctx.history_len();
        let mut draft = self.ctx.draft();
        let Some(Event::Signaled { handled, .. }) = draft.event_mut(id, len) else { return false };
        *handled = false;
        true
    }

    /// An unhandled signal was given to a build that has a handler for it.
    pub(crate) fn signal_redelivered(&mut self, signal: EventId) {
        let kept = self.ctx.tables.signals.borrow_mut().unhandled.remove(&signal);
        if let Some((name, input)) = kept
            && !self.signal(signal, &name, &input)
        {
            self.ctx.suspend(Suspension::unhandled(&name, &input));
        }
    }

    /// Delivers signals that were kept as unhandled to code that now has a handler for them. This happens in
    /// the first turn after a load, because the code of a live execution does not change. A signal that still
    /// has no handler leaves no event.
    pub(crate) fn redeliver(&mut self) {
        if std::mem::replace(&mut self.ctx.tables.signals.borrow_mut().redelivered, true) {
            return;
        }
        for signal in self.redeliverable() {
            if self.ctx.halted() || self.is_closed() {
                return;
            }
            let kept = self.ctx.tables.signals.borrow_mut().unhandled.remove(&signal);
            let Some((name, input)) = kept else { continue };
            let before = self.ctx.draft().here();
            self.ctx.record(Event::SignalRedelivered { signal });
            self.ctx.draft().mark();
            if !self.signal(signal, &name, &input) {
                self.ctx.rollback(before);
            }
            self.run_till_quiet();
        }
    }

    /// The unhandled signals that this code has a handler for, in order.
    fn redeliverable(&self) -> Vec<EventId> {
        let signals = self.ctx.tables.signals.borrow();
        let known = signals.unhandled.iter().filter(|(_, (name, _))| self.program.handles(name));
        known.map(|(id, _)| *id).collect()
    }

    pub(crate) fn can_redeliver(&self) -> bool {
        !self.ctx.tables.signals.borrow().redelivered && !self.redeliverable().is_empty()
    }

    /// Recorded signals without a handler, of which this code has no handler either.
    pub fn unknown_signals(&self) -> Vec<(EventId, String)> {
        let signals = self.ctx.tables.signals.borrow();
        let unknown = signals.unhandled.iter().filter(|(_, (name, _))| !self.program.handles(name));
        unknown.map(|(id, (name, _))| (*id, name.clone())).collect()
    }

    /// Calls the handler. False: no handler takes the signal, so it is kept.
    fn signal(&mut self, id: EventId, name: &str, input: &Payload) -> bool {
        let step = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.signal(name, input)))
        };
        match step {
            Ok(SignalStep::Done) => self.ctx.watch.note_progress(),
            Ok(SignalStep::Task(future)) => self.ctx.spawn(TaskKind::Handler(name.to_owned()), future),
            Ok(SignalStep::Unhandled) => {
                let kept = (name.to_owned(), input.clone());
                self.ctx.tables.signals.borrow_mut().unhandled.insert(id, kept);
                return false;
            }
            Err(panic) => {
                let message = format!("in the handler of signal `{name}`: {}", panic_message(&*panic));
                self.ctx.suspend(Suspension::panicked(&message, self.ctx.site()));
            }
        }
        true
    }
}
