//! How an execution begins. `run` is called at once. Its first poll follows the signals that were
//! acknowledged before the first turn (PROTOCOL 42).
//!
//! `Started.early` counts these signals, so that a replay polls `run` at the same point. A cancellation is
//! not an early message: it is delivered after the first poll, because otherwise no shielded block could
//! begin.

use super::phase::Early;
use super::spawned::TaskKind;
use super::suspension::Suspension;
use super::tasks::panic_message;
use super::{Execution, context};
use crate::carried::{Carried, CarriedId, CarriedKind};
use crate::event::{Event, Room};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::start_context::{FirstMessage, StartContext};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

impl Execution {
    /// Whether it waits for signals that its start has counted. False before the start.
    pub fn awaits_early(&self) -> bool {
        self.early.is_some()
    }

    pub(super) fn start(
        &mut self,
        (input, context): (&Payload, StartContext),
        seed: u64,
        rules: u32,
        early: u32,
    ) {
        if self.ctx.halted() {
            return;
        }
        self.ctx.tables.rng.borrow_mut().reseed(seed);
        self.ctx.rules.set(rules);
        self.ctx.tables.cancellation.borrow_mut().counts_requests = rules >= 2;
        self.ctx.begins(context);
        self.make_state(input);
        if self.ctx.halted() {
            return;
        }
        let _entered = context::enter(&self.ctx);
        let made = catch_unwind(AssertUnwindSafe(|| self.program.run(input)));
        match made {
            Ok(Ok(run)) => {
                let end = Rc::clone(&self.run_end);
                let future = Box::pin(async move {
                    let ended = run.await;
                    *end.borrow_mut() = Some(ended);
                });
                let run = self.ctx.reserve(TaskKind::Main, future);
                self.early = Some(Early { left: early, run });
                if early == 0 {
                    self.begin();
                }
            }
            Ok(Err(error)) => {
                self.ctx.suspend(Suspension::undecodable("the workflow's input", &error, Some(input)));
            }
            Err(panic) => self.ctx.suspend(Suspension::panicked(&panic_message(&*panic), None)),
        }
    }

    /// Whether it has taken in this message, which was sent together with its start.
    pub fn has_taken_in(&self, message: &FirstMessage) -> bool {
        match message {
            FirstMessage::Signal { request_id, .. } => self.ctx.tables.signals.borrow().knows(request_id),
            FirstMessage::Update { update_id, .. } => self.ctx.tables.updates.borrow().knows(update_id),
        }
    }

    /// The request ids of messages that earlier runs of the chain have taken in.
    pub(super) fn know_carried(&self, carried: &Carried) {
        if !mutant!(ForgetCarriedUpdates) {
            self.ctx.tables.updates.borrow_mut().know(&carried.updates);
        }
        for CarriedId { kind, id, at_ms } in carried.known.iter().rev() {
            let tables = &self.ctx.tables;
            match kind {
                CarriedKind::Signal => tables.signals.borrow_mut().known.note(id.clone(), *at_ms),
                CarriedKind::Cancel => tables.cancellation.borrow_mut().known.note(id.clone(), *at_ms),
            }
        }
    }

    /// Makes the state of a type that makes it from the input. No context is entered, so the state depends on
    /// the input alone. A look at a run before its start therefore sees the state that the run will start
    /// with.
    fn make_state(&self, input: &Payload) {
        if !self.program.wants_input() {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| self.program.make_state(input))) {
            Ok(Ok(())) => self.program.install(&self.ctx),
            Ok(Err(error)) => {
                self.ctx.suspend(Suspension::undecodable("the workflow's input", &error, Some(input)));
            }
            Err(panic) => self.ctx.suspend(Suspension::stateless("its `#[init]`", &panic_message(&*panic))),
        }
    }

    /// Makes the state of a run that has not started, to look at it.
    pub fn prepare_to_look(&mut self, input: &Payload) {
        let _muted = self.ctx.tracing.begin(true);
        self.make_state(input);
    }

    /// Counts a delivered signal or update.
    pub(crate) fn count_early(&mut self) {
        let Some(early) = &mut self.early else { return };
        early.left = early.left.saturating_sub(1);
        if early.left == 0 {
            self.begin();
        }
    }

    /// An early update was not accepted, so that it has no event. The start, which is of this turn, counted it.
    pub(crate) fn uncount_early(&mut self) {
        if self.early.is_none() {
            return;
        }
        let len = self.ctx.history_len();
        if let Some(Event::Started { early, .. }) = self.ctx.draft().event_mut(EventId(1), len) {
            *early = early.saturating_sub(1);
        }
        self.count_early();
        self.run_till_quiet();
    }

    /// Polls `run` before an event that is not a signal, a take-over (`Recovered`) or a termination. If all
    /// early signals are there, `run` has begun already. If the journal has lost some, each replay begins
    /// `run` at the same point.
    pub(super) fn begin_before(&mut self, event: &Event) {
        let waits = matches!(event.room(), Room::Signal | Room::Update | Room::TakeOver | Room::End);
        if !waits && self.early.is_some() {
            self.begin();
            self.run_till_quiet();
        }
    }

    /// Queues `run`, after the task of the last delivered signal if it has one.
    fn begin(&mut self) {
        if let Some(Early { run, .. }) = self.early.take() {
            self.ctx.spawned.borrow_mut().push(run);
        }
    }

    /// A turn has delivered all its inputs and the start still waits for early signals. Their rows are lost,
    /// and nothing would ever wake the execution, so it is suspended.
    pub(super) fn require_early(&self) {
        if let Some(early) = self.early.as_ref().filter(|_| !self.ctx.halted()) {
            self.ctx.suspend(Suspension::lost_signals(early.left));
        }
    }
}
