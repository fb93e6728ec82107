//! Delivers inputs to an execution, and polls its tasks until none is ready.

use super::activities::Decision;
use super::history::END_EVENTS;
use super::program::SignalStep;
use super::tasks::{Polled, panic_message};
use super::{Execution, Input, Spawned, Suspension, TaskKind, context};
use crate::event::{Event, RULES};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::text::bounded;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Execution {
    /// Takes one live input: records it as events and delivers them. `early`: the number of signals directly
    /// after a start.
    pub(super) fn take_in(&mut self, input: Input, early: u32) {
        match input {
            Input::Start { input, seed } => {
                self.record(Event::Started { input, seed, rules: RULES, early });
            }
            Input::Attempt { activity, attempt, outcome } => {
                let now_ms = self.ctx.now_ms.get();
                let decision = self.ctx.activities.borrow().decide(activity, attempt, outcome, now_ms);
                decision.into_iter().for_each(|decision| self.decided(decision));
            }
            Input::Signal { name, input, request_id } => {
                if mutant!(ForgetRequestIds) || !self.signals.contains(&request_id) {
                    let handled = self.program.handles(&name);
                    self.record(Event::Signaled { name, input, request_id, handled });
                }
            }
            Input::Cancel { request_id, reason } => {
                if mutant!(ForgetRequestIds) || !self.cancels.contains(&request_id) {
                    self.record(Event::CancelRequested { request_id, reason: bounded(reason) });
                }
            }
            Input::Recovered { running, retried_ms } => {
                let written = self.ctx.history.borrow().written();
                let lost = self.ctx.activities.borrow().lost(&running, written, retried_ms);
                self.record(Event::Recovered { lost: lost.clone() });
                lost.into_iter().for_each(|id| self.lose(id));
            }
        }
    }

    /// An attempt was lost with its worker. The retry decision is made for one attempt at a time, because the
    /// effects of the attempts before may have cancelled this one or closed the execution.
    fn lose(&mut self, activity: EventId) {
        if self.ctx.halted() || self.is_closed() {
            return;
        }
        let decision = self.ctx.activities.borrow().lose(activity, self.ctx.now_ms.get());
        decision.into_iter().for_each(|decision| self.decided(decision));
    }

    /// The end of an activity is an event. A retry is not an event and wakes no task.
    fn decided(&mut self, decision: Decision) {
        match decision {
            Decision::Ended(event) => self.record(event),
            Decision::Again(failed) => {
                self.ctx.activities.borrow_mut().again(failed);
                self.keep_so_far();
            }
        }
    }

    fn record(&mut self, event: Event) {
        let id = self.ctx.history.borrow_mut().input(event.clone());
        self.keep_so_far();
        self.deliver(id, event, true);
    }

    /// The current events and effects stay in this turn, even if the execution is halted later in it.
    pub(super) fn keep_so_far(&mut self) {
        self.delivered = self.ctx.history.borrow().fresh();
        self.acted = self.ctx.activities.borrow().acted();
    }

    /// Delivers an input event, live or replayed, and polls tasks until none is ready.
    pub(super) fn deliver(&mut self, id: EventId, event: Event, live: bool) {
        self.begin_before(&event);
        match event {
            Event::Started { input, seed, rules, early } => self.start(&input, seed, rules, early),
            Event::TimerFired { timer } => self.ctx.timers.borrow_mut().fire(timer),
            Event::Signaled { name, input, request_id, handled } => {
                self.signals.insert(request_id);
                if !handled {
                    self.unhandled.insert(id, (name, input));
                } else if !self.signal(id, &name, &input) && !self.ctx.history.borrow_mut().unhandled(id) {
                    self.ctx.suspend(Suspension::unhandled(&name, &input));
                }
                self.count_early();
            }
            Event::SignalRedelivered { signal } => {
                if let Some((name, input)) = self.unhandled.remove(&signal)
                    && !self.signal(signal, &name, &input)
                {
                    self.ctx.suspend(Suspension::unhandled(&name, &input));
                }
            }
            Event::CancelRequested { request_id, reason } => {
                self.cancels.insert(request_id);
                self.ctx.history.borrow_mut().is_ending();
                self.cancel(reason);
            }
            Event::Terminated { .. } => self.terminated(),
            event => {
                self.ctx.activities.borrow_mut().apply(&event, live);
                // Keep the effects of the event itself, even if the code that it wakes halts the execution.
                self.acted = self.ctx.activities.borrow().acted();
            }
        }
        self.run_till_quiet();
    }

    /// Delivers signals that were kept as unhandled to code that now has a handler for them. This happens in
    /// the first turn after a load, because the code of a live execution does not change. A signal that still
    /// has no handler leaves no event.
    pub(super) fn redeliver(&mut self) {
        if std::mem::replace(&mut self.redelivered, true) {
            return;
        }
        let known = self.unhandled.iter().filter(|(_, (name, _))| self.program.handles(name));
        let known: Vec<EventId> = known.map(|(id, _)| *id).collect();
        for signal in known {
            if self.ctx.halted() || self.is_closed() {
                return;
            }
            let Some((name, input)) = self.unhandled.remove(&signal) else { continue };
            let before = self.ctx.history.borrow().fresh();
            self.ctx.history.borrow_mut().input(Event::SignalRedelivered { signal });
            self.keep_so_far();
            if !self.signal(signal, &name, &input) {
                self.ctx.history.borrow_mut().truncate(before);
                self.delivered = before;
            }
            self.run_till_quiet();
        }
    }

    pub(super) fn can_redeliver(&self) -> bool {
        !self.redelivered && self.unhandled.values().any(|(name, _)| self.program.handles(name))
    }

    pub(super) fn fire_timers(&mut self, now_ms: i64) {
        while !self.ctx.halted() && !self.is_closed() {
            let Some(timer) = self.ctx.timers.borrow().next_due(now_ms) else { break };
            self.record(Event::TimerFired { timer });
        }
    }

    /// Calls the handler. False: no handler takes the signal, so it is kept.
    fn signal(&mut self, id: EventId, name: &str, input: &Payload) -> bool {
        let step = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.signal(name, input)))
        };
        match step {
            Ok(SignalStep::Done) => self.ctx.note_progress(),
            Ok(SignalStep::Task(future)) => {
                let id = self.ctx.reserve_task();
                self.ctx.spawned.borrow_mut().push(Spawned {
                    id,
                    kind: TaskKind::Handler(name.to_owned()),
                    future,
                });
            }
            Ok(SignalStep::Unhandled) => {
                self.unhandled.insert(id, (name.to_owned(), input.clone()));
                return false;
            }
            Err(panic) => {
                let message = format!("in the handler of signal `{name}`: {}", panic_message(&*panic));
                self.ctx.suspend(Suspension::panicked(&message, self.ctx.site()));
            }
        }
        true
    }

    pub(super) fn add_spawned(&mut self) {
        let spawned = self.ctx.spawned.take();
        spawned.into_iter().for_each(|task| self.tasks.add(task));
    }

    /// Polls ready tasks until none is left, and handles their results.
    pub(super) fn run_till_quiet(&mut self) {
        while !self.ctx.halted() && !self.is_closed() {
            self.add_spawned();
            self.seen_progress = self.ctx.wake_state_waiters(self.seen_progress);
            match self.tasks.poll_next(&self.ctx) {
                Some((_, Polled::Pending)) => self.drop_ripe(),
                Some((_, Polled::Ended(kind))) => {
                    self.ctx.note_progress();
                    self.task_ended(&kind);
                }
                Some((_, Polled::Panicked(message))) => {
                    self.ctx.suspend(Suspension::panicked(&message, self.ctx.site()));
                }
                None if self.ctx.spawned.borrow().is_empty() && !self.settle() => break,
                None => {}
            }
            self.check_length();
        }
        // The input may have woken no task.
        self.check_length();
    }

    /// Suspends an execution that grows beyond the limit. Recorded events may exceed it: only events that a
    /// replay adds count.
    fn check_length(&mut self) {
        let history = self.ctx.history.borrow();
        let full = match self.replays {
            true => history.is_full() && history.fresh() as u64 >= END_EVENTS,
            false => history.is_full(),
        };
        if full && !self.is_closed() && !self.ctx.halted() {
            drop(history);
            self.too_long();
        }
    }
}
