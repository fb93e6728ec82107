//! The deterministic executor: an execution is a future and its history.
//!
//! The runtime calls it. [`Execution::replay`] takes the journal. [`Execution::turn`] takes new [`Input`]s
//! and returns a [`Turn`]: the events to append, and the [`Action`]s to perform *after* the append is durable
//! (PROTOCOL 1). Inputs are delivered one by one, and tasks are polled until none is ready before the next
//! input. So the behaviour of an execution depends on the order of its events alone.
//!
//! Modules, in reading order: `turn` (inputs and results), `context` (shared by futures and executor; says
//! who may touch what), `command` and `pending` (what futures ask for and wait for), `history` (the
//! position), `draft` (what the turn has produced), `tasks`, `bodies`, `watch` and `waker` (the poll loop),
//! `program` (the user's code, type-erased), `start` (the first poll), `deliver` (inputs), `close` (ends),
//! `suspension` and `mismatch` (why it stops), `view` (positions and queries). What each primitive does is in
//! [`crate::primitive`].
//!
//! The executor must never read a clock, draw a random number, do I/O or panic on user data.

pub(crate) mod bodies;
mod close;
pub(crate) mod command;
pub(crate) mod context;
mod deliver;
pub(crate) mod draft;
mod hand_on;
mod history;
pub(crate) mod info;
mod mismatch;
pub(crate) mod pending;
mod phase;
pub(crate) mod program;
pub(crate) mod spawned;
mod start;
pub(crate) mod suspension;
pub(crate) mod tasks;
pub(crate) mod turn;
mod unload;
mod view;
pub(crate) mod waker;
pub(crate) mod watch;

pub use crate::primitive::activity::attempt::{AttemptChange, AttemptFailure, FailedAttempt};
pub use crate::primitive::continue_as_new::recorded::Recorded;
pub use context::Position;
pub use history::Trace;
pub use program::{QueryFault, WorkflowType};
pub use suspension::{Suspension, shown};
pub use tasks::panic_message;
pub use turn::{
    Action, ActivityStart, AttemptOutcome, Input, Outlook, Standing, Stop, Turn, UpdateAsk, UpdateNews,
    UpdateState,
};

use crate::carried::Carried;
use crate::child::ChildIds;
use crate::event::{Event, JournalRow};
use crate::ids::EventId;
use crate::primitive::continue_as_new::carry;
use context::Context;
use draft::TurnDraft;
use info::Info;
use phase::{Begun, Early, Ending};
use program::{Program, RunEnd};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use tasks::Tasks;

/// One live execution. Not `Send`: it lives on one workflow thread.
pub struct Execution {
    pub(crate) ctx: Rc<Context>,
    pub(crate) program: Box<dyn Program>,
    tasks: Tasks,
    run_end: Rc<RefCell<Option<RunEnd>>>,
    ending: Ending,
    /// `run` before its first poll.
    early: Option<Early>,
    /// Messages of this turn are not delivered yet. The execution closes after them.
    hold_close: bool,
    /// A request to cancel is among them.
    cancel_waits: bool,
    /// The state could not be made, and the execution has no journal yet.
    unmade: bool,
    /// A replay is running.
    replays: bool,
    /// What the run before has handed on and this run has not taken in.
    pub(crate) left: Carried,
    /// What the run began with.
    pub(crate) begun: Begun,
}

impl Execution {
    /// Creates an execution that has not started: give it [`Execution::replay`] or [`Input::Start`]. `knows`
    /// tells whether the worker can run an activity. A call of an activity that it cannot run suspends the
    /// execution.
    pub fn new(workflow: &WorkflowType, info: Info, knows: Rc<dyn Fn(&str) -> bool>) -> Self {
        Self::made(workflow, info, knows, false)
    }

    /// Creates an execution that must be replayed. The first run has sent the `tracing` output of making the
    /// state already.
    pub fn again(workflow: &WorkflowType, info: Info, knows: Rc<dyn Fn(&str) -> bool>) -> Self {
        Self::made(workflow, info, knows, true)
    }

    fn made(workflow: &WorkflowType, info: Info, knows: Rc<dyn Fn(&str) -> bool>, muted: bool) -> Self {
        let ctx = Context::new(info, knows);
        let running = ctx.tracing.begin(muted);
        let made = catch_unwind(AssertUnwindSafe(|| workflow.make()));
        drop(running);
        let program = made.unwrap_or_else(|panic| {
            ctx.suspend(Suspension::stateless("`Default` of its state", &tasks::panic_message(&*panic)));
            WorkflowType::stateless()
        });
        program.install(&ctx);
        let unmade = ctx.halted();
        Self {
            ctx,
            program,
            tasks: Tasks::default(),
            run_end: Rc::default(),
            ending: Ending::default(),
            early: None,
            hold_close: false,
            cancel_waits: false,
            unmade,
            replays: false,
            left: Carried::default(),
            begun: Begun::default(),
        }
    }

    /// Takes the source of the ids of new children, before [`Execution::replay`] and the first turn. A replay uses the
    /// recorded ids. Without a source, children have no ids: nothing of such an execution may be appended.
    pub fn lend(&self, ids: Rc<dyn Fn() -> ChildIds>) {
        *self.ctx.lent.borrow_mut() = Some(ids);
    }

    /// Takes the failed attempts from the store, before [`Execution::replay`].
    pub fn resume_attempts(&mut self, failed: Vec<FailedAttempt>) {
        self.ctx.tables.activities.borrow_mut().load(failed);
    }

    /// Replays the journal. The execution is suspended if its code emits other commands than the recorded
    /// ones, or if the numbers of the journal's rows are not consecutive.
    pub fn replay(&mut self, rows: Vec<JournalRow>) -> Standing {
        // An execution with a damaged journal must not look like a new one.
        self.unmade &= rows.is_empty();
        let last_ms = rows.last().map(|row| row.at_ms);
        if let Err(at) = self.ctx.history.borrow_mut().load(rows) {
            self.ctx.suspend(Suspension::damaged(at));
            return self.standing();
        }
        self.replays = true;
        let running = self.ctx.tracing.begin(true);
        self.replay_recorded();
        drop(running);
        self.replays = false;
        // The last row may have commands only, and then no input has set its time. Later times must not be
        // before it (PROTOCOL 20).
        self.ctx.now_ms.set(self.ctx.now_ms.get().max(last_ms.unwrap_or(i64::MIN)));
        self.standing()
    }

    /// Replays to the point where the code was when the journal ended, to look at the execution. An
    /// end without code (terminated, timed out) came at any point of the code, so it is not replayed. If the
    /// code goes on from there, [`Execution::broke_off`] reports that.
    pub fn replay_to_look(&mut self, mut rows: Vec<JournalRow>) -> Standing {
        if let Some(row) = rows.last_mut()
            && row.events.last().is_some_and(Event::is_end_without_code)
        {
            row.events.pop();
            if row.events.is_empty() {
                rows.pop();
            }
        }
        self.replay(rows)
    }

    fn replay_recorded(&mut self) {
        // The code may end beyond its history. A live turn then writes the close, after the messages that
        // wait.
        self.hold_close = true;
        while !self.ctx.halted() {
            let next = self.ctx.history.borrow_mut().next_input();
            match next {
                None => break,
                Some(Ok((at_ms, id, event))) => {
                    self.ctx.now_ms.set(at_ms);
                    self.deliver(id, event, false);
                }
                Some(Err(mismatch)) => self.ctx.suspend(mismatch.into_suspension(self.ctx.site())),
            }
        }
    }

    /// Delivers inputs and returns their effects. `now_ms` is the store's time.
    pub fn turn(&mut self, inputs: Vec<Input>, now_ms: i64) -> Turn {
        let at_ms = now_ms.max(self.ctx.now_ms.get());
        self.ctx.now_ms.set(at_ms);
        // At its limit, an execution takes no input but a cancel request, which makes room for its end.
        if self.is_at_limit() {
            match inputs.iter().any(|input| matches!(input, Input::Cancel { .. })) {
                true => self.ctx.history.borrow_mut().is_ending(),
                false => self.too_long(),
            }
        }
        // If a replay halted beyond its history, drop its commands as in a halted turn.
        if !self.ctx.halted() {
            self.ctx.draft().mark();
        }
        let running = self.ctx.tracing.begin(false);
        let inputs = carry::spread(inputs);
        let mut messages = inputs.iter().filter(|(input, _)| input.is_message()).count();
        let mut inputs = inputs.into_iter();
        self.redeliver();
        // An execution whose state could not be made still records its start, so that its history begins like
        // any other.
        while self.unmade && self.history_len() == 0 || !self.ctx.halted() && !self.is_closed() {
            let Some((input, _)) = inputs.next() else { break };
            messages -= usize::from(input.is_message());
            self.hold_close = messages > 0;
            self.cancel_waits = inputs.as_slice().iter().any(|(input, _)| input.is_cancel());
            let early = match &input {
                Input::Start { context, .. } => phase::early(inputs.as_slice(), &context.carried),
                _ => 0,
            };
            self.take_in(input, early);
        }
        self.require_early();
        self.hold_close = false;
        self.run_till_quiet();
        self.fire_timers(at_ms);
        drop(running);
        let undelivered = self.not_delivered(inputs.collect());
        self.finish_turn(at_ms, undelivered)
    }

    /// Whether the history may not grow any more. The caller must then deliver cancel requests before all
    /// other messages.
    pub fn is_at_limit(&self) -> bool {
        self.ctx.history.borrow().is_full() && !self.ctx.halted() && !self.is_closed()
    }

    fn too_long(&self) {
        let history = self.ctx.history.borrow();
        let reason = Suspension::too_long(history.len(), history.bytes(), self.ctx.site());
        drop(history);
        self.ctx.suspend(reason);
    }

    fn finish_turn(&mut self, at_ms: i64, undelivered: Vec<Input>) -> Turn {
        let standing = self.standing();
        if matches!(standing, Standing::Suspended(_)) {
            let marked = self.ctx.draft().marked();
            self.ctx.rollback(marked);
        }
        let mut draft = self.ctx.draft.take();
        let closes = standing == Standing::Closed;
        let (attempts, births) = (draft.take_attempts(closes), draft.take_births(closes));
        let TurnDraft { mut events, actions, failures, updates, published, next_attempt_ms, .. } = draft;
        let seq = EventId(self.history_len() + 1 - events.len() as u64);
        if let [.., last, end] = events.as_mut_slice()
            && mutant!(SwapTwoEvents)
        {
            std::mem::swap(last, end);
        }
        Turn {
            seq,
            at_ms,
            events,
            actions,
            births,
            attempts,
            failures,
            updates,
            published,
            standing,
            next_attempt_ms,
            undelivered,
        }
    }

    /// The state of the execution.
    pub fn standing(&self) -> Standing {
        match &*self.ctx.halt.borrow() {
            Some(reason) => Standing::Suspended(reason.clone()),
            None if self.is_closed() => Standing::Closed,
            None => Standing::Open,
        }
    }

    /// The attempts that a new owner must start itself, now or when they are due.
    pub fn outstanding(&self) -> Vec<ActivityStart> {
        self.ctx.tables.activities.borrow().outstanding()
    }

    /// The owner's attempts that were asked to stop and that the execution waits for.
    pub fn cancelling(&self) -> Vec<(EventId, u32)> {
        self.ctx.tables.activities.borrow().cancelling()
    }

    /// Whether an attempt may be running in the owner, or about to run.
    pub fn has_activities(&self) -> bool {
        self.ctx.tables.activities.borrow().any_here()
    }

    /// Whether an attempt may be running in the owner at `now_ms`, or about to run. An attempt in back-off
    /// does not count.
    pub fn any_due(&self, now_ms: i64) -> bool {
        self.ctx.tables.activities.borrow().any_due(now_ms)
    }

    /// When the next back-off after `after_ms` ends.
    pub fn next_retry_ms(&self, after_ms: i64) -> Option<i64> {
        self.ctx.tables.activities.borrow().next_retry_ms(after_ms)
    }

    /// The most consecutive attempts that one open activity has lost because its worker died.
    pub fn lost_in_a_row(&self) -> u32 {
        self.ctx.tables.activities.borrow().lost_in_a_row()
    }

    /// What it waits for at `now_ms`.
    pub fn outlook(&self, now_ms: i64) -> Outlook {
        let activities = self.ctx.tables.activities.borrow();
        let active = activities.any_due(now_ms);
        let retry = activities.next_retry_ms(now_ms).filter(|_| !active);
        let stopping = !active && !activities.cancelling().is_empty() && !mutant!(NeverDue);
        let timer = self.next_timer_ms();
        let wake_at_ms = timer.into_iter().chain(retry).chain(stopping.then_some(now_ms)).min();
        Outlook { active, wake_at_ms }
    }

    /// When the next timer is due.
    pub fn next_timer_ms(&self) -> Option<i64> {
        self.ctx.tables.timers.borrow().next_at_ms()
    }

    /// Whether a turn without inputs has something to do: commands that a replay made beyond its history, a
    /// close that was held, unhandled signals that now have a handler, early signals that never came, or a
    /// history at its limit.
    pub fn has_more(&self) -> bool {
        !self.ctx.draft().events.is_empty()
            || self.is_decided()
            || self.can_redeliver()
            || self.is_at_limit()
            || self.awaits_early()
    }

    /// Whether it keeps signals without a handler. A later build may have one.
    pub fn has_unhandled(&self) -> bool {
        self.ctx.tables.signals.borrow().has_unhandled()
    }

    /// Whether its state must still be made from its input. Before the start, no state can be looked at.
    pub fn wants_input(&self) -> bool {
        self.program.wants_input()
    }

    /// How many events its history has.
    pub fn history_len(&self) -> u64 {
        self.ctx.history_len()
    }

    /// The estimated bytes of its events.
    pub fn history_bytes(&self) -> usize {
        self.ctx.history.borrow().bytes()
    }

    /// Formats all `tracing` output of the code, even if no subscriber listens. Tests then find a `Display`
    /// that changes state.
    pub fn format_everything(&self) {
        self.ctx.tracing.format_everything();
    }

    /// A view of where its code is, for other threads.
    pub fn position(&self) -> Position {
        self.ctx.position()
    }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;

#[cfg(test)]
mod end_tests;

#[cfg(test)]
mod init_tests;

#[cfg(test)]
mod retry_tests;

#[cfg(test)]
mod start_tests;

#[cfg(test)]
mod sync_tests;
