//! Describes what an execution is doing: its row, what is pending in its journal, and where its code waits.
//!
//! Everything except the await positions comes from durable data, so every process sees the same. The
//! positions come from the live state or from a replay. They are empty if no process that has the code
//! answers.

use super::UntypedHandle;
use super::pending::{Pending, PendingActivity, PendingChild, PendingTimer};
use super::serving::Serving;
use super::time::timestamp;
use super::wait::closing_event;
use crate::error::{Error, Result};
use crate::outcome::Reason;
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Find};
use crate::wire::{AWAITING_QUERY, AwaitPosition};
use abide_core::{Code, Event, FailureRecord, Parent, Payload};
use jiff::Timestamp;
use std::time::Duration;

/// How long a description waits for the positions.
const POSITION_WAIT: Duration = Duration::from_secs(2);

/// A description of an execution, as [`describe()`](UntypedHandle::describe) returned it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Description {
    /// The workflow id.
    pub workflow_id: String,
    /// The run id.
    pub run_id: String,
    /// The name of the workflow type.
    pub workflow_type: String,
    /// The task queue whose workers run it.
    pub task_queue: String,
    /// Its status.
    pub status: ExecutionStatus,
    /// Why it is suspended, if it is.
    pub suspension: Option<Reason>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it begins, if it was started with a delay, or goes on for another run, and has not begun.
    pub begins_at: Option<Timestamp>,
    /// When its time is up: it ends as timed out then. `None`: it has no limit.
    pub run_deadline: Option<Timestamp>,
    /// When the time of all its runs together is up.
    pub execution_deadline: Option<Timestamp>,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// Whether a live worker can run it. `None` if it is closed.
    pub serving: Option<Serving>,
    /// The run that started it as a child, or that started the first run of its chain. `None`: it is no child, or
    /// that run is not in the database any more.
    pub parent: Option<Parent>,
    /// Which attempt of its workflow it is, from 1. More than 1 where the runs before it have failed, under a retry
    /// policy of the workflow.
    pub attempt: u32,
    /// The run id of the run that goes on for it, if it has continued as new, or is tried again.
    pub next_run_id: Option<String>,
    /// The run id of the run that it goes on for.
    pub previous_run_id: Option<String>,
    /// How many events its history holds.
    pub history_length: u64,
    /// The awaits at which its code waits now. For a suspended execution: the await at which it was
    /// suspended, if known. Empty if it is closed, or if no process that has its code answered.
    pub awaiting: Vec<AwaitPosition>,
    /// Activities that have not ended.
    pub pending_activities: Vec<PendingActivity>,
    /// Timers that have not fired.
    pub pending_timers: Vec<PendingTimer>,
    /// Children whose end it does not know yet, at most 2,000.
    pub pending_children: Vec<PendingChild>,
    /// The names of signals that no handler has taken. They are kept for a build that has a handler.
    pub unhandled_signals: Vec<String>,
    /// Compensations that failed, if the execution has closed.
    pub compensation_failures: Vec<FailureRecord>,
    /// The reason of the last request to cancel it. `None` if there was no such request.
    pub cancel_reason: Option<String>,
    /// Why its history cannot be read, if so: it is damaged (`AB0209`), or a newer release of abide wrote it
    /// (`AB0213`). Then the fields that come from the history are empty.
    pub unreadable: Option<Reason>,
}

impl UntypedHandle {
    /// Describes what it is doing: status, live await positions, pending activities and timers, and why it is
    /// suspended.
    pub async fn describe(&self) -> Result<Description> {
        let row = self.row().await?;
        let mut unreadable = None;
        // Read the journal first: the positions are then at least as new as the pending items.
        let pending = match row.status {
            ExecutionStatus::Running | ExecutionStatus::Suspended => {
                readable(Pending::read(&self.client, row.id).await, &mut unreadable)?
            }
            _ => Pending::default(),
        };
        let awaiting = match row.status {
            ExecutionStatus::Running => self.awaiting(&row).await.unwrap_or_default(),
            ExecutionStatus::Suspended => stood_at(&row).into_iter().collect(),
            _ => Vec::new(),
        };
        let closed = readable(closed(&row), &mut unreadable)?;
        let next_run_id = closed.as_ref().and_then(Event::next_run).map(|next| next.run_id.clone());
        let previous_run_id = match row.chain {
            Some(chain) => self.client.abide.store().find(Find::Before { chain, of: row.id }).await?,
            None => None,
        };
        let parent = self.parent(&row).await?;
        let (compensation_failures, reason) = match closed {
            Some(Event::Failed { compensation_failures, .. }) => (compensation_failures, None),
            Some(Event::Cancelled { compensation_failures, reason }) => (compensation_failures, Some(reason)),
            _ => (Vec::new(), None),
        };
        let serving = match row.status.is_open() {
            true => Some(self.client.serving(&row).await?),
            false => None,
        };
        let begins_at = begins_at(&row).map(timestamp);
        Ok(Description {
            serving,
            suspension: (row.status == ExecutionStatus::Suspended)
                .then(|| Reason::of(row.suspension.as_ref())),
            workflow_id: row.workflow_id,
            run_id: row.run_id,
            workflow_type: row.workflow_type,
            task_queue: row.queue,
            status: row.status,
            begins_at,
            run_deadline: row.close_by_ms.map(timestamp),
            execution_deadline: row.chain_by_ms.map(timestamp),
            created_at: timestamp(row.created_at_ms),
            closed_at: row.closed_at_ms.map(timestamp),
            parent,
            attempt: row.attempt,
            next_run_id,
            previous_run_id: previous_run_id.map(|previous| previous.run_id),
            history_length: row.history_len,
            awaiting,
            pending_activities: pending.activities,
            pending_timers: pending.timers,
            pending_children: pending.children,
            unhandled_signals: pending.unhandled,
            compensation_failures,
            cancel_reason: reason.or(pending.cancel_reason),
            unreadable,
        })
    }

    async fn parent(&self, row: &ExecutionRow) -> Result<Option<Parent>> {
        let Some(parent) = row.parent else { return Ok(None) };
        let parent = self.client.abide.store().find(Find::Execution(parent)).await?;
        Ok(parent.map(|parent| Parent::new(parent.workflow_id, parent.run_id)))
    }

    /// In a test environment: the error that says that what it waits for cannot come any more.
    pub(super) async fn nothing_left(&self) -> Error {
        let awaiting = match self.describe().await {
            Ok(Description { serving: Some(serving), task_queue, .. }) if serving != Serving::Served => {
                format!("for a worker of task queue `{task_queue}` ({serving})")
            }
            Ok(Description { awaiting, .. }) => {
                format!("at {}", awaiting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
            Err(error) => format!("({error})"),
        };
        Error::NothingLeft { workflow_id: self.id().to_owned(), awaiting }
    }

    /// Best effort: a description without positions is better than none.
    async fn awaiting(&self, row: &ExecutionRow) -> Option<Vec<AwaitPosition>> {
        let hub = self.client.abide.hub();
        let here = hub.owner_of(row.id).or_else(|| hub.server_of(&row.workflow_type, None));
        if let Some(worker) = here {
            // The worker answers only when its turn is durable, and a locked or full disk may delay that
            // without limit.
            let asked = tokio::time::timeout(POSITION_WAIT, worker.awaiting(row.id)).await.ok()?;
            if let Ok(Some(positions)) = asked {
                return Some(positions);
            }
        }
        // Wait for another worker only if one owns the execution.
        row.owner?;
        let answer = self.ask_elsewhere(row, AWAITING_QUERY, Payload::null(), POSITION_WAIT).await;
        answer.ok()?.ok()?.decode().ok()
    }
}

/// When a run that was started with a delay, or that goes on for another one, begins by itself, in ms.
fn begins_at(row: &ExecutionRow) -> Option<i64> {
    let waits = row.status == ExecutionStatus::Running && row.history_len == 0;
    row.wake_at_ms.filter(|at_ms| waits && *at_ms > row.created_at_ms)
}

/// An unreadable history becomes part of the description. A database error does not.
fn readable<T: Default>(read: Result<T>, unreadable: &mut Option<Reason>) -> Result<T> {
    match read {
        Err(error) if matches!(Code::of(error.code()), Some(Code::Damaged | Code::OtherRelease)) => {
            let (code, message) = (error.code().to_owned(), error.to_string());
            *unreadable = Some(Reason { code, message, build: String::new() });
            Ok(T::default())
        }
        other => other,
    }
}

/// The await at which it was suspended.
fn stood_at(row: &ExecutionRow) -> Option<AwaitPosition> {
    let (place, text) = row.suspension.as_ref()?.site.as_ref()?.split_once(" `")?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let text = text.strip_suffix('`').unwrap_or(text).to_owned();
    Some(AwaitPosition { file: parts.next()?.to_owned(), line, column, text })
}

fn closed(row: &ExecutionRow) -> Result<Option<Event>> {
    if row.status.is_open() { Ok(None) } else { closing_event(row).map(Some) }
}
