//! Delivers inputs to an execution, and polls its tasks until none is ready.

use super::Execution;
use super::history::END_EVENTS;
use super::spawned::TaskKind;
use super::suspension::Suspension;
use super::tasks::Polled;
use super::turn::Input;
use crate::carried::Carried;
use crate::event::Event;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::primitive::activity::one::{Decision, Ended};
use crate::primitive::signal::table::Unhandled;
use crate::rules::RULES;
use crate::start_context::StartContext;
use crate::text::bounded;

impl Execution {
    /// Takes what the last heartbeats of its open activities have told, after a replay.
    pub fn resume_heartbeats(&mut self, told: Vec<(EventId, Payload)>) {
        self.ctx.tables.activities.borrow_mut().take_details(told);
    }

    /// Takes one live input: records it as events and delivers them. `early`: the number of signals directly
    /// after a start.
    pub(super) fn take_in(&mut self, input: Input, early: u32) {
        match input {
            Input::Start { input, seed, context } => {
                let context = Box::new(context.without_messages());
                self.record(Event::Started { input, seed, rules: RULES, early, context });
            }
            Input::Attempt { activity, attempt, outcome } => {
                let now_ms = self.ctx.now_ms();
                let decision =
                    self.ctx.tables.activities.borrow_mut().decide(activity, attempt, outcome, now_ms);
                decision.into_iter().for_each(|decision| self.decided(decision));
            }
            Input::Signal { name, input, request_id } => {
                if mutant!(ForgetRequestIds) || !self.ctx.tables.signals.borrow().knows(&request_id) {
                    let handled = self.program.handles(&name) && !self.goes_on();
                    self.record(Event::Signaled { name, input, request_id, handled });
                }
            }
            Input::Update(ask) => self.update_asked(*ask),
            Input::Cancel { request_id, reason } => {
                if mutant!(ForgetRequestIds) || !self.ctx.tables.cancellation.borrow().knows(&request_id) {
                    self.record(Event::CancelRequested { request_id, reason: bounded(reason) });
                }
            }
            Input::Answered { command, refused } => self.answered(command, refused),
            Input::ChildEnded { child, end } => self.child_ended(child, end),
            Input::Recovered { running, retried_ms } => {
                let written = self.ctx.written();
                let lost = self.ctx.tables.activities.borrow().lost(&running, written, retried_ms);
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
        let decision = self.ctx.tables.activities.borrow().lose(activity, self.ctx.now_ms());
        decision.into_iter().for_each(|decision| self.decided(decision));
    }

    /// The end of an activity is an event. A retry is not an event and wakes no task.
    fn decided(&mut self, decision: Decision) {
        match decision {
            Decision::Ended(event) => self.record(event),
            Decision::Again(failed) => {
                self.ctx.tables.activities.borrow_mut().again(failed, &mut self.ctx.draft());
                self.ctx.draft().mark();
            }
        }
    }

    pub(crate) fn record(&mut self, event: Event) {
        let id = self.ctx.record(event.clone());
        self.ctx.draft().mark();
        self.deliver(id, event, true);
    }

    /// Delivers an input event, live or replayed, and polls tasks until none is ready.
    pub(super) fn deliver(&mut self, id: EventId, event: Event, live: bool) {
        self.begin_before(&event);
        match event {
            Event::Started { input, seed, rules, early, context } => {
                self.know_carried(&context.carried);
                self.begun.input = context.retry.is_some().then(|| input.clone());
                self.begun.context = StartContext { carried: Carried::default(), ..(*context).clone() };
                self.start((&input, *context), seed, rules, early);
            }
            Event::ActivityCompleted { activity, result } => self.activity_ended(activity, Ok(result), live),
            Event::ActivityFailed { activity, failure } => self.activity_ended(activity, Err(failure), live),
            Event::AttemptFailed { activity, attempt, failure, next_at_ms } => {
                let mut activities = self.ctx.tables.activities.borrow_mut();
                activities.attempt_failed(activity, attempt, failure, next_at_ms);
            }
            Event::TimerFired { timer } => self.ctx.tables.timers.borrow_mut().fire(timer),
            Event::Signaled { name, input, request_id, handled } => {
                self.signaled(id, Unhandled { name, input, request_id }, handled);
            }
            Event::UpdateAccepted { update_id, name, input, answer } => {
                self.update_accepted(id, update_id, (name, input), answer);
            }
            Event::SignalRedelivered { signal } => self.signal_redelivered(signal),
            Event::CancelRequested { request_id, reason } => {
                self.ctx.history.borrow_mut().is_ending();
                self.cancel(request_id, reason);
            }
            Event::Answered { command, refused } => {
                self.ctx.tables.children.borrow_mut().answered(command, refused.is_some());
                self.ctx.tables.answers.borrow_mut().end(command, refused.map_or(Ok(()), Err));
            }
            Event::ChildEnded { child, end } => self.ctx.tables.children.borrow_mut().end(child, end),
            // The lost attempts follow, each decided by itself.
            Event::Recovered { .. } => {}
            Event::Terminated { .. } | Event::TimedOut { .. } => self.ended_without_code(),
            // Commands are issued and never delivered.
            Event::ActivityScheduled { .. }
            | Event::ActivityCancelRequested { .. }
            | Event::TimerStarted { .. }
            | Event::TimerCancelled { .. }
            | Event::SideEffect { .. }
            | Event::SignalSent { .. }
            | Event::CancelSent { .. }
            | Event::UpdateCompleted { .. }
            | Event::ChildScheduled { .. }
            | Event::ChildCancelRequested { .. }
            | Event::Published { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::ContinuedAsNew { .. } => debug_assert!(false, "a command is not delivered"),
        }
        self.run_till_quiet();
    }

    fn activity_ended(&self, activity: EventId, ended: Ended, live: bool) {
        let mut draft = self.ctx.draft();
        let turn = live.then_some(&mut *draft);
        self.ctx.tables.activities.borrow_mut().end(activity, ended, turn);
        // Keep the effects of the event itself, even if the code that it wakes halts the execution.
        if live {
            draft.mark();
        }
    }

    pub(super) fn fire_timers(&mut self, now_ms: i64) {
        while !self.ctx.halted() && !self.is_closed() {
            let Some(timer) = self.ctx.tables.timers.borrow().next_due(now_ms) else { break };
            self.record(Event::TimerFired { timer });
        }
    }

    pub(super) fn add_spawned(&mut self) {
        let spawned = self.ctx.spawned.take();
        spawned.into_iter().for_each(|task| self.tasks.add(task));
    }

    /// Polls ready tasks until none is left, and handles their results.
    pub(crate) fn run_till_quiet(&mut self) {
        while !self.ctx.halted() && !self.is_closed() {
            self.add_spawned();
            self.ctx.watch.wake();
            match self.tasks.poll_next(&self.ctx) {
                Some((task, Polled::Pending)) => {
                    let kind = self.tasks.kind(task).cloned().unwrap_or(TaskKind::Spawned);
                    if !self.go_on_as_new(&kind) {
                        self.drop_ripe();
                    }
                }
                Some((_, Polled::Ended(kind))) if self.go_on_as_new(&kind) => {}
                Some((_, Polled::Ended(kind))) => {
                    self.ctx.watch.note_progress();
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
        let full = self.ctx.history.borrow().is_full();
        let full = full && (!self.replays || self.ctx.draft().events.len() as u64 >= END_EVENTS);
        if full && !self.is_closed() && !self.ctx.halted() {
            self.too_long();
        }
    }
}
