//! The deterministic executor: an execution is a future and its history (DESIGN §3).
//!
//! The runtime feeds it: [`Execution::replay`] takes the journal, [`Execution::turn`] takes new [`Input`]s and gives a
//! [`Turn`]: the events to append, and the [`Action`]s to perform *after* the append is durable (PROTOCOL 1). Inputs
//! are delivered one by one, and the tasks are polled till nothing moves before the next: so what an execution does
//! depends on the order of its events alone.
//!
//! Modules, in reading order: `context` (what futures and executor share), `history` (the cursor), `tasks` and
//! `waker` (the poll loop), `program` (the user's code, erased), `activities`, `timers`, `cancel`, `saga` (what
//! futures wait for), `deliver` (inputs), `close` (ends), `halt` (suspension), `view` (positions and queries).
//!
//! It must never read a clock, draw a random number, do I/O or panic on user data.

mod activities;
mod cancel;
mod close;
pub(crate) mod context;
mod deliver;
mod halt;
mod history;
mod program;
mod saga;
mod tasks;
mod timers;
mod view;
pub(crate) mod waker;

pub(crate) use activities::{Ended as ActivityEnded, millis};
pub use context::Position;
pub use halt::Suspension;
pub use program::{QueryFault, WorkflowType};
pub(crate) use tasks::{Spawned, TaskKind};

use crate::event::{Event, JournalRow};
use crate::failure::FailureRecord;
use crate::flow::info::Info;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::ActivityOptions;
use close::Ending;
use context::Context;
use program::{Program, RunEnd};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;
use tasks::Tasks;

/// Something that happened to an execution.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its first: the arguments, and the seed of its random numbers.
    Start {
        /// The encoded arguments of `run`.
        input: Payload,
        /// Feeds `workflow::random` and `workflow::uuid`.
        seed: u64,
    },
    /// An attempt ended.
    Attempt {
        /// The activity.
        activity: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// How it ended.
        outcome: AttemptOutcome,
    },
    /// A signal. One with a known request id is dropped.
    Signal {
        /// The handler's name.
        name: String,
        /// Its encoded arguments.
        input: Payload,
        /// The sender's id of this call.
        request_id: String,
    },
    /// A request to cancel.
    Cancel {
        /// The sender's id of this call.
        request_id: String,
        /// For people.
        reason: String,
    },
    /// This owner took over from one that is gone: always the first input then. Every activity that may have been
    /// running there has lost an attempt, except those that still run here.
    Recovered {
        /// Activities whose attempt is known to be running in this process.
        running: Vec<EventId>,
        /// No retry that was due later than this was ever started.
        retried_ms: i64,
    },
}

impl Input {
    /// Whether somebody sent it: a message is taken in before its execution may close.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Signal { .. } | Self::Cancel { .. })
    }
}

/// How one attempt of an activity ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It returned a value.
    Completed(Payload),
    /// It failed.
    Failed {
        /// How.
        failure: FailureRecord,
        /// Whether a retry may mend it.
        retryable: bool,
        /// The wait that it asks for, instead of the policy's.
        retry_after: Option<Duration>,
    },
    /// It ended because its token was cancelled.
    Cancelled,
}

/// Something to do once the turn's append is durable.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run an attempt.
    Start(ActivityStart),
    /// Cancel the token of the running attempt.
    Cancel(EventId),
    /// Leave the attempt alone; nobody waits for its result.
    Abandon(EventId),
}

/// One attempt to run.
#[derive(Clone, Debug)]
pub struct ActivityStart {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// From 1.
    pub attempt: u32,
    /// The activity's type.
    pub name: &'static str,
    /// Its encoded arguments.
    pub input: Payload,
    /// Its limits and policy.
    pub options: ActivityOptions,
    /// When it was scheduled.
    pub scheduled_at_ms: i64,
    /// Not to be started earlier (back-off).
    pub not_before_ms: Option<i64>,
}

/// How an execution stands after a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It waits.
    Open,
    /// It ended; the closing event is the turn's last.
    Closed,
    /// It cannot go on.
    Suspended(Suspension),
}

/// What a turn came to.
#[derive(Debug)]
pub struct Turn {
    /// The number of the first event.
    pub seq: EventId,
    /// The turn's time: never before the last one's.
    pub at_ms: i64,
    /// The events to append; may be empty.
    pub events: Vec<Event>,
    /// What to do after the append.
    pub actions: Vec<Action>,
    /// How the execution stands.
    pub standing: Standing,
    /// Inputs that a suspended execution could not take in: to be kept for its resumption.
    pub undelivered: Vec<Input>,
}

/// One live execution. Not `Send`: it lives on one workflow thread.
pub struct Execution {
    ctx: Rc<Context>,
    program: Box<dyn Program>,
    tasks: Tasks,
    run_end: Rc<RefCell<Option<RunEnd>>>,
    ending: Ending,
    /// The mark up to which state waiters have been woken.
    seen_progress: u64,
    /// Request ids of messages that were taken in.
    requests: HashSet<String>,
    /// Signals without a handler, by event.
    unhandled: BTreeMap<EventId, (String, Payload)>,
    /// Whether they were offered to today's handlers.
    redelivered: bool,
    /// How many fresh events there were when the last input was delivered.
    delivered: usize,
    /// Messages of this turn are still to be taken in: the execution closes after them.
    hold_close: bool,
}

impl Execution {
    /// An execution that has not started: give it [`Execution::replay`] or [`Input::Start`]. `knows` says whether the
    /// worker can run an activity; one that it cannot run suspends the execution where it is called.
    pub fn new(workflow: &WorkflowType, info: Info, knows: Rc<dyn Fn(&str) -> bool>) -> Self {
        let ctx = Context::new(info, knows);
        let made = catch_unwind(AssertUnwindSafe(|| workflow.make()));
        let program = made.unwrap_or_else(|panic| {
            let message = format!("in `Default` of its state: {}", tasks::panic_message(&*panic));
            ctx.suspend(Suspension::panicked(&message, None));
            WorkflowType::stateless()
        });
        program.install(&ctx);
        Self {
            ctx,
            program,
            tasks: Tasks::default(),
            run_end: Rc::default(),
            ending: Ending::default(),
            seen_progress: 0,
            requests: HashSet::new(),
            unhandled: BTreeMap::new(),
            redelivered: false,
            delivered: 0,
            hold_close: false,
        }
    }

    /// Brings it to where its journal ends. Code that emits other commands than the recorded ones suspends it; so
    /// does a journal whose rows do not join up.
    pub fn replay(&mut self, rows: Vec<JournalRow>) -> Standing {
        if let Err(at) = self.ctx.history.borrow_mut().load(rows) {
            self.ctx.suspend(Suspension::damaged(at));
            return self.standing();
        }
        let nobody = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::with_default(nobody, || self.replay_recorded());
        // What a replay wants started was started before, or is `outstanding`.
        self.ctx.activities.borrow_mut().take_actions();
        self.standing()
    }

    fn replay_recorded(&mut self) {
        // An end that code reaches beyond its history is closed in a live turn, after the messages that wait for it.
        self.hold_close = true;
        while !self.ctx.halted() {
            let next = self.ctx.history.borrow_mut().next_input();
            match next {
                None => break,
                Some(Ok((at_ms, id, event))) => {
                    self.ctx.now_ms.set(at_ms);
                    self.deliver(id, event);
                }
                Some(Err(mismatch)) => self.ctx.suspend(mismatch.into_suspension(self.ctx.site())),
            }
        }
    }

    /// Takes in what happened, and says what it led to. `now_ms` is the store's time.
    pub fn turn(&mut self, inputs: Vec<Input>, now_ms: i64) -> Turn {
        let at_ms = now_ms.max(self.ctx.now_ms.get());
        self.ctx.now_ms.set(at_ms);
        self.delivered = self.ctx.history.borrow().fresh();
        let mut messages = inputs.iter().filter(|input| input.is_message()).count();
        let mut inputs = inputs.into_iter();
        self.redeliver();
        // An execution that could not even be made keeps its arguments: its history begins like any other.
        let unmade = self.ctx.halted() && self.history_len() == 0;
        while unmade && self.history_len() == 0 || !self.ctx.halted() && !self.is_closed() {
            let Some(input) = inputs.next() else { break };
            messages -= usize::from(input.is_message());
            self.hold_close = messages > 0;
            self.take_in(input);
        }
        self.hold_close = false;
        self.run_till_quiet();
        self.fire_timers(at_ms);
        self.finish_turn(at_ms, inputs.collect())
    }

    fn finish_turn(&mut self, at_ms: i64, undelivered: Vec<Input>) -> Turn {
        let mut actions = self.ctx.activities.borrow_mut().take_actions();
        let standing = self.standing();
        if matches!(standing, Standing::Suspended(_)) {
            // Commands after the input that could not be taken in had no effect, and must not bind the fixed code.
            self.ctx.history.borrow_mut().truncate(self.delivered);
            actions.clear();
        }
        let (seq, events) = self.ctx.history.borrow_mut().take();
        Turn { seq, at_ms, events, actions, standing, undelivered }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match &*self.ctx.halt.borrow() {
            Some(halt) => Standing::Suspended(halt.0.clone()),
            None if self.is_closed() => Standing::Closed,
            None => Standing::Open,
        }
    }

    /// The attempts that a new owner has to start, now or when they are due.
    pub fn outstanding(&self) -> Vec<ActivityStart> {
        self.ctx.activities.borrow().outstanding()
    }

    /// Attempts that were asked to stop and that the execution waits for.
    pub fn cancelling(&self) -> Vec<(EventId, u32)> {
        self.ctx.activities.borrow().cancelling()
    }

    /// Whether an attempt may be running, or about to.
    pub fn has_activities(&self) -> bool {
        self.ctx.activities.borrow().open().next().is_some()
    }

    /// Whether an attempt may be running at `now_ms`, or is about to: one that waits for a back-off is not.
    pub fn any_due(&self, now_ms: i64) -> bool {
        self.ctx.activities.borrow().any_due(now_ms)
    }

    /// When the next back-off ends, of those that end after `after_ms`.
    pub fn next_retry_ms(&self, after_ms: i64) -> Option<i64> {
        self.ctx.activities.borrow().next_retry_ms(after_ms)
    }

    /// The most attempts that one open activity has lost in a row because its worker died.
    pub fn lost_in_a_row(&self) -> u32 {
        self.ctx.activities.borrow().lost_in_a_row()
    }

    /// When the next timer is due.
    pub fn next_timer_ms(&self) -> Option<i64> {
        self.ctx.timers.borrow().next_at_ms()
    }

    /// Whether a turn without inputs has something to do: commands that a replay found beyond its history, a close that
    /// was held, or signals that today's code knows.
    pub fn has_more(&self) -> bool {
        self.ctx.history.borrow().fresh() > 0 || self.is_decided() || self.can_redeliver()
    }

    /// Whether it keeps signals that no handler took: a later build may.
    pub fn has_unhandled(&self) -> bool {
        !self.unhandled.is_empty()
    }

    /// How many events its history has.
    pub fn history_len(&self) -> u64 {
        self.ctx.history.borrow().len()
    }

    /// About how many bytes its events have.
    pub fn history_bytes(&self) -> usize {
        self.ctx.history.borrow().bytes()
    }

    /// A view of where its code is, for other threads.
    pub fn position(&self) -> Position {
        self.ctx.position()
    }
}

impl Drop for Execution {
    /// Dropping the live state emits nothing: it was evicted, not cancelled (PROTOCOL 17).
    fn drop(&mut self) {
        self.ctx.evicting.set(true);
        for id in self.tasks.ids(|_| true) {
            self.tasks.drop_task(id, &self.ctx);
        }
        let compensations = self.ctx.compensations.borrow_mut().take_all();
        let spawned = self.ctx.spawned.take();
        let _entered = context::enter(&self.ctx);
        // User code: a panic in a drop must not end the thread. There is nobody left to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop((compensations, spawned))));
    }
}
