//! Signals: how they reach the handlers of a workflow, and what happens to those that no handler takes.

pub(crate) mod table;

use crate::event::Event;
use crate::exec::program::SignalStep;
use crate::exec::spawned::TaskKind;
use crate::exec::suspension::Suspension;
use crate::exec::tasks::panic_message;
use crate::exec::{Execution, context};
use crate::ids::EventId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use table::Unhandled;

impl Execution {
    /// A signal was recorded. `handled`: the code that ran at the time had a handler that takes it.
    pub(crate) fn signaled(&mut self, id: EventId, signal: Unhandled, handled: bool) {
        let now_ms = self.ctx.now_ms();
        self.ctx.tables.signals.borrow_mut().known.note(signal.request_id.clone(), now_ms);
        if !handled {
            self.ctx.tables.signals.borrow_mut().unhandled.insert(id, signal);
        } else if !self.signal(id, &signal) && !self.mark_unhandled(id) {
            self.ctx.suspend(Suspension::unhandled("signal", &signal.name, &signal.input));
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
        if let Some(kept) = kept
            && !self.signal(signal, &kept)
        {
            self.ctx.suspend(Suspension::unhandled("signal", &kept.name, &kept.input));
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
            if self.ctx.halted() || self.is_closed() || self.goes_on() {
                return;
            }
            let kept = self.ctx.tables.signals.borrow_mut().unhandled.remove(&signal);
            let Some(kept) = kept else { continue };
            let before = self.ctx.draft().here();
            self.ctx.record(Event::SignalRedelivered { signal });
            self.ctx.draft().mark();
            if !self.signal(signal, &kept) {
                self.ctx.rollback(before);
            }
            self.run_till_quiet();
        }
    }

    /// The unhandled signals that this code has a handler for, in order.
    fn redeliverable(&self) -> Vec<EventId> {
        let signals = self.ctx.tables.signals.borrow();
        let known = signals.unhandled.iter().filter(|(_, kept)| self.program.handles(&kept.name));
        known.map(|(id, _)| *id).collect()
    }

    pub(crate) fn can_redeliver(&self) -> bool {
        let closes = self.is_closed() || self.goes_on();
        !self.ctx.tables.signals.borrow().redelivered && !closes && !self.redeliverable().is_empty()
    }

    /// Recorded signals without a handler, of which this code has no handler either.
    pub fn unknown_signals(&self) -> Vec<(EventId, String)> {
        let signals = self.ctx.tables.signals.borrow();
        let unknown = signals.unhandled.iter().filter(|(_, kept)| !self.program.handles(&kept.name));
        unknown.map(|(id, kept)| (*id, kept.name.clone())).collect()
    }

    /// Calls the handler. False: no handler takes the signal, so it is kept.
    fn signal(&mut self, id: EventId, signal: &Unhandled) -> bool {
        let (name, input) = (signal.name.as_str(), &signal.input);
        let step = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.signal(name, input)))
        };
        match step {
            Ok(SignalStep::Done) => self.ctx.watch.note_progress(),
            Ok(SignalStep::Task(future)) => {
                self.ctx.spawn(TaskKind::Handler { of: "signal", name: signal.name.clone() }, future)
            }
            Ok(SignalStep::Unhandled) => {
                self.ctx.tables.signals.borrow_mut().unhandled.insert(id, signal.clone());
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
