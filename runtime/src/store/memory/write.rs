//! What a commit does to the tables: a list of whole rows that are written and deleted.
//!
//! A row is written whole. That is safe: its writer holds its lock from the read to the commit, so no other
//! transaction has changed it. Each change prints as one line, for a simulation's trace.

use super::tables::{Execution, Lease, Stream, StreamItem, StreamName, Worker};
use crate::store::task::NewTask;
use crate::store::{AttemptRow, InboxRow, Reply, ScheduleRow, StoredTurn};
use abide_core::{EventId, ExecutionId, Incarnation};
use std::fmt;

/// A task's row: the attempt as its append wrote it, and its state since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRow {
    pub(crate) execution: ExecutionId,
    pub(crate) task: NewTask,
    /// The worker that runs it.
    pub(crate) owner: Option<Incarnation>,
    /// Its workflow asks it to stop.
    pub(crate) cancel: bool,
    /// Drawn by its insert and by each claim.
    pub(crate) nonce: i64,
    /// When its last heartbeat came.
    pub(crate) beat_at_ms: Option<i64>,
    /// The holder of its token completes it, no worker.
    pub(crate) handed: bool,
    /// Handed out: it is given up then.
    pub(crate) end_by_ms: Option<i64>,
    /// Handed out: the next heartbeat must come by then.
    pub(crate) beat_by_ms: Option<i64>,
}

/// A limit's row, by its queue and key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    pub(crate) activity: String,
    pub(crate) most: Option<i32>,
    pub(crate) rate: Option<f64>,
    pub(crate) burst: f64,
    pub(crate) tokens: f64,
    pub(crate) at_ms: i64,
}

/// One change of one row.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Inserted or replaced.
    Execution(Box<Execution>),
    /// Inserted only.
    Turn(ExecutionId, StoredTurn),
    Message(InboxRow),
    MessageGone(i64),
    /// A message has another receiver: the run that goes on.
    Moved(i64, ExecutionId),
    /// A message is parked, or is no more.
    Parked(i64),
    Unparked(i64),
    Worker(Worker),
    WorkerGone(Incarnation),
    Lease(Incarnation, Lease),
    LeaseGone(Incarnation),
    Task(Box<TaskRow>),
    TaskGone(ExecutionId, EventId),
    Attempt(ExecutionId, AttemptRow),
    AttemptGone(ExecutionId, EventId),
    Reply(Reply),
    ReplyGone(String),
    Schedule(Box<ScheduleRow>),
    ScheduleGone(String),
    Stream(StreamName, Stream),
    StreamItem(StreamName, Box<StreamItem>),
    StreamItemGone(StreamName, i64),
    Limit(String, String, Limit),
    LimitGone(String, String),
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Execution(execution) => write_execution(f, execution),
            Self::Turn(of, StoredTurn { seq, n, at_ms, writer, body }) => {
                write!(f, "turn {of}/{seq}+{n} at {at_ms} by {writer}: {body}")
            }
            Self::Message(row) => {
                let InboxRow { id, execution, kind, request_id, .. } = row;
                write!(f, "message {id} to {execution}: {kind:?} {request_id}")
            }
            Self::MessageGone(id) => write!(f, "message {id} gone"),
            Self::Moved(id, to) => write!(f, "message {id} moves to {to}"),
            Self::Parked(id) => write!(f, "message {id} parked"),
            Self::Unparked(id) => write!(f, "message {id} not parked any more"),
            Self::Worker(worker) => write!(f, "worker {} of {}", worker.id, worker.info.queue),
            Self::WorkerGone(id) => write!(f, "worker {id} gone"),
            Self::Lease(id, lease) => write!(f, "lease {id} until {}", lease.until_ms),
            Self::LeaseGone(id) => write!(f, "lease {id} gone"),
            Self::Task(row) => {
                let TaskRow { execution, task, owner, cancel, handed, .. } = row.as_ref();
                write!(f, "task {execution}/{}/{} {}", task.activity, task.attempt, task.name)?;
                owner.iter().try_for_each(|owner| write!(f, " owner {owner}"))?;
                if *handed {
                    f.write_str(" handed")?;
                }
                if *cancel { f.write_str(" cancel") } else { Ok(()) }
            }
            Self::TaskGone(execution, activity) => write!(f, "task {execution}/{activity} gone"),
            Self::Attempt(execution, row) => {
                let AttemptRow { activity, attempt, next_at_ms, failure } = row;
                write!(f, "failed attempt {execution}/{activity}/{attempt}, next at {next_at_ms}: {failure}")
            }
            Self::AttemptGone(execution, activity) => {
                write!(f, "failed attempt {execution}/{activity} gone")
            }
            Self::Reply(reply) => write!(f, "reply {}", reply.request_id),
            Self::ReplyGone(request_id) => write!(f, "reply {request_id} gone"),
            Self::Schedule(row) => {
                let ScheduleRow { id, next_at_ms, last_slot_ms, paused, .. } = row.as_ref();
                write!(f, "schedule {id} next {next_at_ms:?} last {last_slot_ms:?} paused {paused}")
            }
            Self::ScheduleGone(id) => write!(f, "schedule {id} gone"),
            Self::Stream((of, name), stream) => write!(f, "stream {of}/{name} up to {}", stream.next_seq),
            Self::StreamItem((of, name), item) => {
                write!(f, "item {of}/{name}/{}: {}", item.row.seq, item.row.body)
            }
            Self::StreamItemGone((of, name), seq) => write!(f, "item {of}/{name}/{seq} gone"),
            Self::Limit(queue, key, limit) => write!(f, "limit {queue}/{key}: {limit:?}"),
            Self::LimitGone(queue, key) => write!(f, "limit {queue}/{key} gone"),
        }
    }
}

fn write_execution(f: &mut fmt::Formatter<'_>, execution: &Execution) -> fmt::Result {
    let row = &execution.row;
    write!(f, "execution {} {:?} {:?} rev {}", row.id, row.workflow_id, row.status, row.rev)?;
    row.owner.iter().try_for_each(|owner| write!(f, " owner {owner}"))?;
    row.wake_at_ms.iter().try_for_each(|at| write!(f, " wake {at}"))?;
    if row.active {
        f.write_str(" active")?;
    }
    if row.crashes > 0 {
        write!(f, " crashes {}", row.crashes)?;
    }
    row.recovered_from.iter().try_for_each(|from| write!(f, " recovered from {from}"))
}
