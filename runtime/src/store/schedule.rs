//! Schedules: their rows, what is asked of them, and what comes of it (PROTOCOL 68 to 73).
//!
//! The stores keep them as text. What a schedule does is a pure function of `abide_core`, which
//! [`decide`](super::decide) calls; the stores lock, read and write.

use super::action::Action;
use super::error::StoreFuture;
use abide_core::ExecutionId;
use abide_core::schedule::{Input, Policy, Spec};
use std::sync::Arc;
use tokio::sync::watch;

/// The most schedules that one transaction steps.
pub(crate) const STEPS_AT_ONCE: i64 = 100;

/// The most reports that one transaction takes in.
pub(crate) const REPORTS_AT_ONCE: i64 = 10_000;

/// The most schedules of a page.
pub(crate) const SCHEDULES_A_PAGE: u32 = 1_000;

/// A schedule as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduleRow {
    /// The user's name for it.
    pub(crate) id: String,
    /// What its runs and its inbox rows name it by: negative, and never used again (PROTOCOL 71).
    pub(crate) number: i64,
    /// When: a `Spec`, JSON.
    pub(crate) spec: String,
    /// What it starts: an [`Action`](super::Action), JSON.
    pub(crate) action: String,
    /// How: a `Policy`, JSON.
    pub(crate) policy: String,
    /// What it remembers: a `State`, JSON.
    pub(crate) state: String,
    /// The last note of those who have paused or resumed it.
    pub(crate) note: Option<String>,
    /// No slot is started.
    pub(crate) paused: bool,
    /// Its own step has failed: it is paused, and no report is taken in, until it is resumed or changed.
    pub(crate) halted: bool,
    /// When it is stepped next. `None`: not before it is told something.
    pub(crate) next_at_ms: Option<i64>,
    /// No slot up to this one is started any more (PROTOCOL 69).
    pub(crate) last_slot_ms: Option<i64>,
    /// Counts the changes of its spec, action and policy.
    pub(crate) version: i64,
    /// When it was created.
    pub(crate) created_at_ms: i64,
}

/// What is asked of a schedule.
#[derive(Clone, Debug)]
pub(crate) struct ScheduleAsk {
    /// Which.
    pub(crate) id: String,
    /// The request: one that was done answers as it did then, for a day (PROTOCOL 72).
    pub(crate) request_id: String,
    /// What.
    pub(crate) what: AskedOf,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum AskedOf {
    /// It is created, with this number, which no schedule ever had.
    Create { number: i64, new: Box<ScheduleParts>, paused: bool },
    /// It is told this.
    Tell(Input),
    /// These take the place of its parts, if it has this version.
    Change { version: i64, new: Box<ScheduleParts> },
    /// It is deleted. Its runs go on.
    Delete,
}

/// What a user says of a schedule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScheduleParts {
    pub(crate) spec: Spec,
    pub(crate) policy: Policy,
    pub(crate) action: Action,
    /// `None` in a change: the note stays.
    pub(crate) note: Option<String>,
    /// How many more slots are started. `None`: any number.
    pub(crate) remaining: Option<u64>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScheduleAnswer {
    /// It is done: the run that it has started, if it was to start one.
    Done(Option<StartedRun>),
    /// There is no such schedule.
    NoSuchSchedule,
    /// There is one already.
    Exists,
    /// It was changed meanwhile.
    Changed,
    /// It is refused for this reason.
    Refused(String),
}

/// A run that a trigger has started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct StartedRun {
    pub(crate) execution: ExecutionId,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
}

/// Makes the keys of a run that begins at this time.
pub(crate) type RunKeys = Arc<dyn Fn(i64) -> (ExecutionId, String) + Send + Sync>;

/// What a call has stepped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stepped {
    /// How many schedules.
    pub(crate) schedules: usize,
    /// When the next one is due.
    pub(crate) next_due_ms: Option<i64>,
}

/// Schedules.
pub(crate) trait Schedules: Send + Sync {
    /// Steps the schedules that are due or have reports, at most [`STEPS_AT_ONCE`], in one transaction, by the
    /// database's clock. Any process may, without a lease. A schedule that another session has locked is passed over,
    /// and so is one that needs a lock that another session has. Where nothing is due, nothing is written.
    fn step_schedules(&self, keys: RunKeys) -> StoreFuture<'_, Stepped>;

    /// Asks something of one schedule, in one transaction, which waits for its row.
    fn ask_schedule(&self, ask: ScheduleAsk, keys: RunKeys) -> StoreFuture<'_, ScheduleAnswer>;

    /// A schedule.
    fn schedule(&self, id: String) -> StoreFuture<'_, Option<ScheduleRow>>;

    /// Schedules by their names, those after `after`, at most `limit` and [`SCHEDULES_A_PAGE`].
    fn schedules(&self, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<ScheduleRow>>;

    /// Counts up when a schedule may be due earlier than [`Stepped::next_due_ms`] said, or may have a report.
    fn schedule_news(&self) -> watch::Receiver<u64>;
}
