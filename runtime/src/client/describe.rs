//! What an execution is doing, for people: the row, what is pending by its journal, and where its code waits.
//!
//! Everything but the await positions comes from what is durable, so it reads the same from any process. The
//! positions come from the live state or a replay, and are empty where no process that has the code answers.

use super::UntypedHandle;
use super::pending::{Pending, PendingActivity, PendingTimer};
use super::serving::Serving;
use super::time::timestamp;
use super::wait::closing_event;
use crate::error::{Error, Result};
use crate::outcome::Reason;
use crate::status::ExecutionStatus;
use crate::store::ExecutionRow;
use crate::wire::{AWAITING_QUERY, AwaitPosition};
use abide_core::{Event, FailureRecord, Payload};
use jiff::Timestamp;
use std::time::Duration;

/// How long a description waits for the positions.
const POSITION_WAIT: Duration = Duration::from_secs(2);

/// An execution as [`describe()`](UntypedHandle::describe) saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Description {
    /// The user's name for it.
    pub workflow_id: String,
    /// This run's own name.
    pub run_id: String,
    /// The workflow's name.
    pub workflow_type: String,
    /// The task queue whose workers run it.
    pub task_queue: String,
    /// Where it stands.
    pub status: ExecutionStatus,
    /// Why it is suspended, where it is.
    pub suspension: Option<Reason>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// Whether a live worker can run it; `None` where it is closed.
    pub serving: Option<Serving>,
    /// How many events its history holds.
    pub history_length: u64,
    /// The awaits at which its code waits now; of a suspended one the await it stood at, where that is known. Empty
    /// where it is closed, or where no process that has its code answered.
    pub awaiting: Vec<AwaitPosition>,
    /// Activities that have not ended.
    pub pending_activities: Vec<PendingActivity>,
    /// Timers that have not fired.
    pub pending_timers: Vec<PendingTimer>,
    /// Signals that no handler has taken, by name: kept for a build that knows them.
    pub unhandled_signals: Vec<String>,
    /// Compensations that failed, of an execution that has closed.
    pub compensation_failures: Vec<FailureRecord>,
    /// The reason of the last request to cancel it: it is being cancelled, or was.
    pub cancel_reason: Option<String>,
    /// Why its history cannot be read, where it cannot: it is damaged (`AB0209`), or a newer release of abide wrote it
    /// (`AB0213`). What would be known by the history is then empty.
    pub unreadable: Option<Reason>,
}

impl UntypedHandle {
    /// What it is doing: status, live await positions, pending activities and timers, and why it is suspended.
    pub async fn describe(&self) -> Result<Description> {
        let row = self.row().await?;
        let mut unreadable = None;
        // The journal first: the positions are then at least as new as what is pending.
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
        let (compensation_failures, reason) = match readable(closed(&row), &mut unreadable)? {
            Some(Event::Failed { compensation_failures, .. }) => (compensation_failures, None),
            Some(Event::Cancelled { compensation_failures, reason }) => (compensation_failures, Some(reason)),
            _ => (Vec::new(), None),
        };
        let serving = match row.status.is_open() {
            true => Some(self.client.serving(&row).await?),
            false => None,
        };
        Ok(Description {
            serving,
            suspension: (row.status == ExecutionStatus::Suspended)
                .then(|| Reason::of(row.suspension.as_ref())),
            workflow_id: row.workflow_id,
            run_id: row.run_id,
            workflow_type: row.workflow_type,
            task_queue: row.queue,
            status: row.status,
            created_at: timestamp(row.created_at_ms),
            closed_at: row.closed_at_ms.map(timestamp),
            history_length: row.history_len,
            awaiting,
            pending_activities: pending.activities,
            pending_timers: pending.timers,
            unhandled_signals: pending.unhandled,
            compensation_failures,
            cancel_reason: reason.or(pending.cancel_reason),
            unreadable,
        })
    }

    /// In a test's environment: what it waits for cannot come any more.
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
            // Not before its turn is durable, and a locked or full disk keeps a turn waiting for as long as it likes.
            let asked = tokio::time::timeout(POSITION_WAIT, worker.awaiting(row.id)).await.ok()?;
            if let Ok(Some(positions)) = asked {
                return Some(positions);
            }
        }
        // Waiting for a worker makes sense only where one has it.
        row.owner?;
        let answer = self.ask_elsewhere(row, AWAITING_QUERY, Payload::null(), POSITION_WAIT).await;
        answer.ok()?.ok()?.decode().ok()
    }
}

/// A history that cannot be read is a part of the description. The database's trouble is none.
fn readable<T: Default>(read: Result<T>, unreadable: &mut Option<Reason>) -> Result<T> {
    match read {
        Err(error) if matches!(error.code(), "AB0209" | "AB0213") => {
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
