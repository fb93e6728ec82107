//! How an execution begins: `run` is called at once, and first polled after the signals that were acknowledged before
//! the first turn (PROTOCOL 42).
//!
//! `Started.early` counts these signals, so that a replay polls `run` at the same place. A cancellation is never one of
//! them: it is delivered after the first poll, or no shielded block would ever begin.

use super::tasks::panic_message;
use super::{Execution, Input, Spawned, Suspension, TaskKind, context};
use crate::event::Event;
use crate::payload::Payload;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// `run`, called and not polled yet.
pub(super) struct Early {
    /// How many signals it still waits for.
    left: u32,
    run: Spawned,
}

/// How many signals come first of these inputs. One that comes twice is one event.
pub(super) fn early(inputs: &[Input]) -> u32 {
    let mut ids = HashSet::new();
    for input in inputs {
        let Input::Signal { request_id, .. } = input else { break };
        ids.insert(request_id.as_str());
    }
    if mutant!(SignalsAfterRun) { 0 } else { u32::try_from(ids.len()).unwrap_or(u32::MAX) }
}

impl Execution {
    /// Whether it waits for signals that its start has counted. False before the start.
    pub fn awaits_early(&self) -> bool {
        self.early.is_some()
    }

    pub(super) fn start(&mut self, input: &Payload, seed: u64, rules: u32, early: u32) {
        if self.ctx.halted() {
            return;
        }
        self.ctx.rng.borrow_mut().reseed(seed);
        self.ctx.is_strict.set(rules >= 1);
        self.ctx.cancellation.borrow_mut().counts_requests = rules >= 2;
        self.ctx.info.borrow_mut().started_at_ms = self.ctx.now_ms.get();
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
                let id = self.ctx.reserve_task();
                let run = Spawned { id, kind: TaskKind::Main, future };
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

    /// Makes the state of a type that makes it from the input. No context is entered: what it reads is the input
    /// alone, so that whoever looks at a run before its start sees the state that it will start with.
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

    /// A signal was delivered.
    pub(super) fn count_early(&mut self) {
        let Some(early) = &mut self.early else { return };
        early.left = early.left.saturating_sub(1);
        if early.left == 0 {
            self.begin();
        }
    }

    /// `run` is polled before anything is delivered that is not a signal, or a new owner's note of what was lost. A start whose signals
    /// are all there never comes to this; a journal that has lost some does, and does the same each time.
    pub(super) fn begin_before(&mut self, event: &Event) {
        let waits = matches!(
            event,
            Event::Signaled { .. }
                | Event::SignalRedelivered { .. }
                | Event::Recovered { .. }
                | Event::Terminated { .. }
        );
        if !waits && self.early.is_some() {
            self.begin();
            self.run_till_quiet();
        }
    }

    /// After the task of the signal that was delivered last, if it has one.
    fn begin(&mut self) {
        if let Some(Early { run, .. }) = self.early.take() {
            self.ctx.spawned.borrow_mut().push(run);
        }
    }

    /// A turn that has delivered all that came, and still waits for signals that were counted: their rows are lost, and
    /// nothing would ever wake it.
    pub(super) fn require_early(&self) {
        if let Some(early) = self.early.as_ref().filter(|_| !self.ctx.halted()) {
            self.ctx.suspend(Suspension::lost_signals(early.left));
        }
    }
}
