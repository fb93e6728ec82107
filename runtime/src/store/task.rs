//! Tasks: attempts that the database arbitrates (PROTOCOL 22), since they run in another process, or since their result
//! commits together with a user's own SQL.
//!
//! A task's row *is* the token: the write that deletes or replaces it decides the attempt. An attempt that ends
//! elsewhere deletes its row and puts the outcome into its execution's inbox, in one transaction; a retry, a
//! time limit or a cancel of the execution's owner deletes or replaces the same row in its own append. One of
//! them finds the row, so exactly one wins.

use super::error::StoreFuture;
use super::limit::{Place, QueueTurn, WorkerLimit};
use abide_core::exec::AttemptOutcome;
use abide_core::{EventId, ExecutionId, FailureKind, FailureRecord, Incarnation, Payload, TimeoutKind};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An attempt that the database arbitrates, as its scheduling append writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewTask {
    /// The activity: the number of its event in its execution.
    pub(crate) activity: EventId,
    /// Which attempt, from 1.
    pub(crate) attempt: u32,
    /// The task queue whose workers may claim it. `None`: the owner of the execution runs it itself, and the row only
    /// arbitrates.
    pub(crate) queue: Option<String>,
    /// The activity's registered name.
    pub(crate) name: String,
    /// The arguments, JSON; empty where the owner runs it.
    pub(crate) input: String,
    /// What the runner must know about its limits, JSON; by convention of the worker.
    pub(crate) limits: String,
    /// When it may be claimed.
    pub(crate) run_at_ms: i64,
    /// When the wait for a worker is given up (schedule-to-start).
    pub(crate) start_by_ms: Option<i64>,
    /// When the activity is given up, running or not (schedule-to-close).
    pub(crate) close_by_ms: Option<i64>,
    /// What the last heartbeat of the attempts before told, JSON. `None`: the row that it replaces knows.
    pub(crate) details: Option<String>,
    /// Its place in its task queue.
    pub(crate) place: Place,
}

/// What an append does to the tasks of its execution. At most one change for an activity. A closing append,
/// and a terminate, delete all of them instead: its changes are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskChange {
    /// A first attempt, or one whose row its own end has deleted.
    Insert(NewTask),
    /// The next attempt, in the place of attempt `of`. It keeps the details of that row where it brings none, and the
    /// time of the last heartbeat (PROTOCOL 75). Without that row the append is a `Conflict`: the attempt has ended
    /// otherwise, and the inbox says how.
    Replace {
        /// The attempt whose row must be there.
        of: u32,
        /// The next one.
        with: NewTask,
    },
    /// The activity has ended by this attempt. Without its row the append is a `Conflict`.
    Settle {
        /// Which activity.
        activity: EventId,
        /// The attempt whose row must be there.
        attempt: u32,
    },
    /// It is not wanted any more: deletes the row, if there is one.
    Drop(EventId),
    /// The worker that runs it is asked to stop, and its end is waited for. If it has not begun, it cannot be
    /// claimed any more: an outcome `Cancelled` goes into the inbox at once.
    Cancel(EventId),
}

impl TaskChange {
    /// How many bytes of text it has.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Insert(task) | Self::Replace { with: task, .. } => {
                let Place { limit_key, fair_key, .. } = &task.place;
                let texts = [&task.name, &task.input, &task.limits, limit_key, fair_key];
                texts.into_iter().chain(&task.queue).chain(&task.details).map(String::len).sum()
            }
            Self::Settle { .. } | Self::Drop(_) | Self::Cancel(_) => 0,
        }
    }
}

/// Names one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskKey {
    /// Whose activity.
    pub(crate) execution: ExecutionId,
    /// Which.
    pub(crate) activity: EventId,
    /// Which attempt.
    pub(crate) attempt: u32,
    /// Drawn when the row was inserted, and by each claim: a call that is repeated late meets another
    /// (PROTOCOL 93). Of an attempt that the execution's owner runs itself it is 0 and not compared.
    pub(crate) nonce: i64,
}

/// What a worker would run for others.
#[derive(Clone, Debug)]
pub(crate) struct TaskClaim {
    /// Who.
    pub(crate) owner: Incarnation,
    /// Task queues.
    pub(crate) queues: Vec<String>,
    /// Registered activities.
    pub(crate) names: Vec<String>,
    /// The most to take.
    pub(crate) limit: u32,
    /// Whose turn it is, as the claim before this one left it.
    pub(crate) turn: QueueTurn,
}

/// A claimed task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Which attempt of what.
    pub(crate) key: TaskKey,
    /// The activity's registered name.
    pub(crate) name: String,
    /// The arguments, JSON.
    pub(crate) input: String,
    /// [`NewTask::limits`].
    pub(crate) limits: String,
    /// When it could first be claimed.
    pub(crate) run_at_ms: i64,
    /// When the activity is given up.
    pub(crate) close_by_ms: Option<i64>,
    /// The workflow id of the execution that called it.
    pub(crate) workflow_id: String,
    /// Its run.
    pub(crate) run_id: String,
    /// Its type.
    pub(crate) workflow_type: String,
    /// What the last heartbeat of the attempts before told, JSON.
    pub(crate) details: Option<String>,
}

/// What a claim of tasks got.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimedTasks {
    /// Now to be run by the claimant.
    pub(crate) tasks: Vec<Task>,
    /// When the next unclaimed one of these queues and names may be claimed; in the past where more is due
    /// than the limit let in.
    pub(crate) next_due_ms: Option<i64>,
    /// Whose turn it is now.
    pub(crate) turn: QueueTurn,
    /// There may be more: another claim held a limit's row, or not all keys were looked at. Claim again in 5 to 20 ms.
    pub(crate) soon: bool,
}

impl TaskClaim {
    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite claims at once
    /// What is left to claim.
    pub(crate) fn rest(&self, claimed: &ClaimedTasks) -> Self {
        let taken = u32::try_from(claimed.tasks.len()).unwrap_or(u32::MAX);
        Self { limit: self.limit.saturating_sub(taken), turn: claimed.turn.clone(), ..self.clone() }
    }
}

impl ClaimedTasks {
    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite claims at once
    /// And of another queue.
    pub(crate) fn add(&mut self, more: Self) {
        self.tasks.extend(more.tasks);
        self.next_due_ms = self.next_due_ms.into_iter().chain(more.next_due_ms).min();
        (self.turn, self.soon) = (more.turn, self.soon | more.soon);
    }
}

/// A task that its claimant has, by the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnedTask {
    /// Which attempt. A claimed task that is not listed any more has been decided otherwise: stop it and
    /// discard its outcome.
    pub(crate) key: TaskKey,
    /// Its workflow asks it to stop, and waits for its end.
    pub(crate) cancel: bool,
}

/// A heartbeat to be written.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    /// Which attempt. It has no nonce if the execution's owner runs it.
    pub(crate) key: TaskKey,
    /// What it tells, JSON.
    pub(crate) details: String,
    /// When it came, on the store's clock. A row that knows of a later one keeps that: this may be a late copy.
    pub(crate) at_ms: i64,
}

/// What became of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beaten {
    /// Its row knows it, or a later one.
    Kept {
        /// The workflow asks the attempt to stop.
        cancel: bool,
    },
    #[cfg_attr(not(any(feature = "postgres", feature = "testing")), allow(dead_code))] // SQLite has one writer
    /// Another session has its row. Write it again.
    Locked,
    /// It has no row any more: the attempt was decided otherwise.
    Gone,
}

/// The last heartbeat of an open activity, as its row knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeatRow {
    /// The activity: the number of its event in its execution.
    pub(crate) activity: EventId,
    /// What it told, JSON.
    pub(crate) details: String,
    /// When it came. `None`: it was told by an attempt whose row is gone.
    pub(crate) at_ms: Option<i64>,
}

/// Attempts that the database arbitrates.
pub(crate) trait Tasks: Send + Sync {
    /// Takes unclaimed tasks of these queues and names, the oldest first, fenced like an append where there are any.
    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks>;

    /// Ends a claimed attempt: its row goes and its outcome, the body of an [`MessageKind::Attempt`], comes
    /// into the inbox, fenced. False: it was decided otherwise, and nothing was written.
    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool>;

    /// Gives claimed tasks back that were never begun: they lose nothing.
    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()>;

    /// The tasks that `owner` has claimed and not ended.
    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>>;

    /// Notes heartbeats, fenced, by one statement that waits for no row (PROTOCOL 74). What became of each, in order.
    fn beat(&self, owner: Incarnation, beats: Vec<Beat>) -> StoreFuture<'_, Vec<Beaten>>;

    /// The activities with limits in this task queue.
    fn limited(&self, queue: String) -> StoreFuture<'_, Vec<String>>;

    /// Writes the limits of a worker's activities for all workers of its task queue: the last worker that started wins
    /// (PROTOCOL 78).
    fn set_limits(&self, queue: String, limits: Vec<WorkerLimit>) -> StoreFuture<'_, ()>;

    /// Ends the tasks whose time has run out, as `TimedOut`; how many. Any worker may do this at any time.
    fn expire_tasks(&self) -> StoreFuture<'_, u64>;
}

/// The body of an inbox row that carries an outcome to its execution, JSON. Its request id names the attempt,
/// so that it has one end there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AttemptBody {
    pub(crate) activity: EventId,
    pub(crate) attempt: u32,
    pub(crate) outcome: AttemptOutcome,
    /// Its own end has not deleted the row that arbitrates it, if it has one: the owner only could not take it in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) kept: bool,
    /// What the last heartbeat told, where the store has ended the attempt. Else the outcome has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<Payload>,
}

/// The outcome of attempts whose worker is gone.
pub(crate) fn lost() -> AttemptOutcome {
    let failure = FailureRecord::new(FailureKind::WorkerLost, "the worker died with this attempt");
    AttemptOutcome::Failed { failure, retryable: true, retry_after: Some(Duration::ZERO), details: None }
}

/// The outcome of an activity whose time has run out in the database: no worker took it, or none ended it.
/// Where a token's holder has it: that attempt ended too late, or was silent for too long, and the next may follow.
pub(crate) fn timed_out(kind: TimeoutKind) -> AttemptOutcome {
    let text = match kind {
        TimeoutKind::ScheduleToStart => "no worker of its task queue took the activity in time",
        TimeoutKind::StartToClose => "the attempt was not completed in time",
        TimeoutKind::Heartbeat => "no heartbeat came in time for the attempt that is to be completed later",
        _ => "the activity did not end in time",
    };
    let retryable = matches!(kind, TimeoutKind::StartToClose | TimeoutKind::Heartbeat);
    let failure = FailureRecord::new(FailureKind::TimedOut(kind), text.to_owned());
    AttemptOutcome::Failed { failure, retryable, retry_after: None, details: None }
}
