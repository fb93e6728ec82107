//! An execution's row, and what a start asks for and is answered.
//!
//! The row holds what is needed without replaying: who owns it, when it is due, how it ended. It never holds
//! workflow state; that is the journal's.

use super::error::StoreFuture;
use super::message::{NewMessage, SendAnswer};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use abide_core::{ExecutionId, Incarnation, StartContext};
use serde::{Deserialize, Serialize};

/// One execution as the database has it.
#[derive(Clone, Debug)]
pub(crate) struct ExecutionRow {
    /// Its key.
    pub(crate) id: ExecutionId,
    /// The user's name for it; one open run has it at a time.
    pub(crate) workflow_id: String,
    /// This run's own name, a UUIDv7.
    pub(crate) run_id: String,
    /// The workflow's registered name.
    pub(crate) workflow_type: String,
    /// The task queue whose workers may claim it.
    pub(crate) queue: String,
    /// Where it stands.
    pub(crate) status: ExecutionStatus,
    /// The live worker that runs it.
    pub(crate) owner: Option<Incarnation>,
    /// Counts the changes that owners, claims, take-overs and resumes have made (PROTOCOL 93).
    pub(crate) rev: i64,
    /// When it is next due while it has no owner.
    pub(crate) wake_at_ms: Option<i64>,
    /// Whether an activity may be running in its owner, or its owner has written nothing since the claim.
    pub(crate) active: bool,
    /// No retry that was due later than this was ever started.
    pub(crate) retried_ms: i64,
    /// Owners that died while it ran, without progress since.
    pub(crate) crashes: u32,
    /// The dead incarnation it was last taken from, until an append clears it.
    pub(crate) recovered_from: Option<Incarnation>,
    /// Why it is suspended.
    pub(crate) suspension: Option<Suspension>,
    /// The arguments, JSON, where the start was not owned; else they are in `Started`, the journal's first event.
    pub(crate) input: Option<String>,
    /// The closing event, JSON, once closed.
    pub(crate) result: Option<String>,
    /// When it was started.
    pub(crate) created_at_ms: i64,
    /// When it closed.
    pub(crate) closed_at_ms: Option<i64>,
    /// How many events its history holds.
    pub(crate) history_len: u64,
    /// When the run's time is up: it ends as timed out, whatever it does.
    pub(crate) close_by_ms: Option<i64>,
    /// When the time of its whole chain is up. Not before `close_by_ms`.
    pub(crate) chain_by_ms: Option<i64>,
    /// What it begins with besides its input, JSON, where the start was not owned.
    pub(crate) context: Option<String>,
    /// The first run of its chain. `None`: this one is the first.
    pub(crate) chain: Option<ExecutionId>,
    /// The run that goes on for it.
    pub(crate) next: Option<ExecutionId>,
    /// The run that started it as a child, or that started a run before it in its chain.
    pub(crate) parent: Option<ExecutionId>,
    /// Which attempt of its workflow it is, from 1.
    pub(crate) attempt: u32,
    /// The schedule that started it, or a run before it in its chain.
    pub(crate) scheduled: Option<Scheduled>,
}

impl ExecutionRow {
    /// The chain that it belongs to, named by its first run.
    pub(crate) fn chain(&self) -> ExecutionId {
        self.chain.unwrap_or(self.id)
    }
}

#[cfg(any(test, feature = "testing"))]
impl ExecutionRow {
    /// A new row that runs, with nothing but its names.
    pub(crate) fn of(new: &NewExecution) -> Self {
        Self {
            id: new.id,
            workflow_id: new.workflow_id.clone(),
            run_id: new.run_id.clone(),
            workflow_type: new.workflow_type.clone(),
            queue: new.queue.clone(),
            status: ExecutionStatus::Running,
            owner: None,
            rev: 0,
            wake_at_ms: None,
            active: false,
            retried_ms: 0,
            crashes: 0,
            recovered_from: None,
            suspension: None,
            input: None,
            result: None,
            close_by_ms: new.terms.close_by_ms,
            chain_by_ms: new.terms.chain_by_ms,
            context: None,
            created_at_ms: new.created_at_ms,
            closed_at_ms: None,
            history_len: 0,
            chain: None,
            next: None,
            parent: None,
            attempt: 1,
            scheduled: new.terms.scheduled,
        }
    }
}

/// Why an execution is suspended. One JSON column, so that people can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspension {
    /// The error's code.
    pub(crate) code: String,
    /// What is wrong, for people.
    pub(crate) message: String,
    /// The await it stood at, as `file:line:column` and its text in backquotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) site: Option<String>,
    /// The build that found out.
    pub(crate) build: String,
    /// Whether a worker of another build may try once (a mismatch, an unknown type; PROTOCOL 21).
    pub(crate) other_builds: bool,
    /// When.
    pub(crate) at_ms: i64,
}

impl Suspension {
    /// How many bytes of text it has.
    pub(crate) fn bytes(&self) -> usize {
        self.message.len() + self.site.as_ref().map_or(0, String::len)
    }

    /// As its column has it.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("a suspension is plain text and numbers")
    }
}

/// An execution to be started.
#[derive(Clone, Debug)]
pub(crate) struct NewExecution {
    /// From [`Store::execution_id`](super::Store::execution_id).
    pub(crate) id: ExecutionId,
    /// The user's name for it.
    pub(crate) workflow_id: String,
    /// A fresh UUIDv7.
    pub(crate) run_id: String,
    /// The user's request id; without one the run id serves, which a retry must then repeat.
    pub(crate) request_id: Option<String>,
    /// The workflow's registered name.
    pub(crate) workflow_type: String,
    /// The task queue.
    pub(crate) queue: String,
    /// The arguments, JSON.
    pub(crate) input: String,
    /// Now, on the store's clock. An unowned start is due at this time, unless its terms say later.
    pub(crate) created_at_ms: i64,
    /// When it begins and must end, and what it begins with.
    pub(crate) terms: Terms,
    /// What a closed run of the same workflow id means.
    pub(crate) reuse: IdReusePolicy,
    /// What an open run of the same workflow id means.
    pub(crate) conflict: IdConflictPolicy,
    /// The closing event that `TerminateExisting` writes for the open run, JSON.
    pub(crate) terminate_event: Option<String>,
    /// The messages that go with it (PROTOCOL 49). The run that it starts finds them in its context; these go to the
    /// open run that its policy uses instead, whose id takes the place of theirs.
    pub(crate) with: Vec<NewMessage>,
}

/// What a start says besides its names, its input and its policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// When it begins by itself. `None`: at once.
    pub(crate) due_at_ms: Option<i64>,
    /// When the run's time is up.
    pub(crate) close_by_ms: Option<i64>,
    /// When the time of its chain is up.
    pub(crate) chain_by_ms: Option<i64>,
    /// A `StartContext`, JSON. `None`: an empty one.
    pub(crate) context: Option<String>,
    /// The schedule that starts it.
    pub(crate) scheduled: Option<Scheduled>,
}

impl Terms {
    /// Of a run that is started now: limits count from when it is due. The delay and the limit of the whole chain are
    /// in ms.
    pub(crate) fn of(
        context: &StartContext,
        (delay_ms, execution_timeout_ms): (Option<i64>, Option<i64>),
        now_ms: i64,
    ) -> Self {
        let due_at_ms = delay_ms.map(|delay_ms| now_ms.saturating_add(delay_ms));
        let after = |limit_ms: i64| due_at_ms.unwrap_or(now_ms).saturating_add(limit_ms);
        let (run_by_ms, chain_by_ms) = (context.run_timeout_ms.map(after), execution_timeout_ms.map(after));
        Self {
            due_at_ms,
            close_by_ms: run_by_ms.into_iter().chain(chain_by_ms).min(),
            chain_by_ms,
            context: (!context.is_empty()).then(|| json(context)),
            scheduled: None,
        }
    }
}

/// What a run begins with, as its row has it.
pub(crate) fn json(context: &StartContext) -> String {
    serde_json::to_string(context).expect("a context always encodes")
}

/// For which slot of which schedule a run was started (PROTOCOL 69).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheduled {
    /// The schedule's number, which is negative (PROTOCOL 71).
    pub(crate) number: i64,
    /// The slot, in ms since the Unix epoch.
    pub(crate) slot_ms: i64,
}

impl Scheduled {
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn of((number, slot_ms): (i64, i64)) -> Self {
        Self { number, slot_ms }
    }
}

impl NewExecution {
    /// How many bytes of text it has.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.workflow_id, &self.run_id, &self.workflow_type, &self.queue, &self.input];
        let texts = texts.into_iter().chain(&self.request_id).chain(&self.terms.context).map(String::len);
        texts.chain(self.with.iter().map(|message| message.request_id.len() + message.body.len())).sum()
    }

    /// When it is due while no worker owns it.
    pub(crate) fn due_at_ms(&self) -> i64 {
        self.terms.due_at_ms.unwrap_or(self.created_at_ms)
    }

    /// Whether its workflow id was made for it, its own run id, so that no other run has it.
    #[cfg(any(feature = "postgres", feature = "testing"))]
    pub(crate) fn has_fresh_id(&self) -> bool {
        self.workflow_id == self.run_id
    }
}

/// What became of a start.
#[derive(Clone, Debug)]
pub(crate) enum StartAnswer {
    /// It is started.
    Started,
    /// This request id (or run id) started this run before.
    Known(Box<ExecutionRow>),
    /// `UseExisting`: this run is open.
    Existing(Box<ExecutionRow>),
    /// `Fail`: this run is open (AB0401).
    Taken(Box<ExecutionRow>),
    /// The reuse policy refuses because of this closed run (AB0402).
    Refused(Box<ExecutionRow>),
}

/// What became of a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeAnswer {
    /// It may run again.
    Resumed,
    /// It was not suspended but this (AB0414).
    NotSuspended(ExecutionStatus),
    /// No such execution (AB0406).
    NoSuchExecution,
}

/// Starts, and what is done to a run from outside.
pub(crate) trait Starts: Send + Sync {
    /// Starts an execution without an owner; `id` in it comes from
    /// [`Journal::execution_id`](super::Journal::execution_id). Policies and request id are decided in the
    /// transaction. (A start already owned is an [`Append`] that has it among its births.) One that brings messages
    /// and finds an open run, which its policy uses, sends them there in that transaction, once; it is answered
    /// `Existing`, and a repeated one `Known`.
    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer>;

    /// Ends an execution at once, owned or not. `event` is the JSON of its closing event, `at_ms` is now. An owner
    /// is told by an inbox row of kind [`MessageKind::Terminated`]; whatever it still appends answers
    /// [`AppendOutcome::Lost`]. A known request id answers `Known`.
    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer>;

    /// Lets a suspended execution run again: unowned, due now, its crash counter at 0, every build may try.
    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer>;
}
