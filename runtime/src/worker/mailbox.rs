//! What waits to be taken in: the messages to a workflow thread, and what a run keeps of them until it can use
//! them.

use super::inputs::{Pending, SendReply};
use super::stored::Loaded;
use crate::error::Result;
use crate::store::{AppendOutcome, InboxRow, MessageKind, NewExecution, NewMessage, StartAnswer, StoreError};
use crate::wire::{QueryAnswer, TerminateBody};
use abide_core::exec::{ActivityStart, AttemptOutcome, Execution, Input};
use abide_core::{EventId, ExecutionId, Payload, Site};
use std::collections::HashSet;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Answers a client's start.
pub(super) type StartReply = oneshot::Sender<Result<Option<StartAnswer>>>;

/// A message to a workflow thread.
pub(super) enum Message {
    /// A client starts a run here.
    Start { new: Box<NewExecution>, reply: StartReply },
    /// The database says that this worker owns a run (PROTOCOL 34). See
    /// [`ThreadHandle::named`](super::handle::ThreadHandle::named).
    Own { execution: ExecutionId },
    /// The load that the thread has asked for is done.
    Load(Box<Loaded>),
    /// A client's message.
    Send { message: NewMessage, reply: SendReply },
    /// Inbox rows of the run.
    Inbox { execution: ExecutionId, rows: Vec<InboxRow> },
    /// An attempt ended.
    Attempt { execution: ExecutionId, activity: EventId, attempt: u32, outcome: AttemptOutcome },
    /// An append was acknowledged.
    Acked { execution: ExecutionId, result: std::result::Result<AppendOutcome, StoreError> },
    /// A request to read the state.
    Read { execution: ExecutionId, read: Read },
    /// The run was terminated from outside.
    Terminated { execution: ExecutionId },
    /// Shutdown: release idle runs. The token is cancelled when none is left.
    Drain(CancellationToken),
    /// Stop at once and drop everything.
    Stop,
}

/// A request to read the state of a run.
pub(super) enum Read {
    /// A query.
    Query { name: String, input: Payload, reply: oneshot::Sender<Result<Option<QueryAnswer>>> },
    /// Where the run waits.
    Awaiting { reply: oneshot::Sender<Option<Vec<&'static Site>>> },
}

/// What waits for one run.
#[derive(Default)]
pub(super) struct Mailbox {
    /// The inputs of the next turn.
    pub(super) inputs: Vec<Pending>,
    /// Requests to read the state, once it is durable.
    pub(super) reads: Vec<Read>,
    /// It is told to terminate, for this reason.
    pub(super) terminate: Option<String>,
    /// Inbox rows that were taken from the database and not yet deleted.
    rows_seen: HashSet<i64>,
}

impl Mailbox {
    pub(super) fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.reads.is_empty() && self.terminate.is_none()
    }

    pub(super) fn push(&mut self, input: Input) {
        self.inputs.push(input.into());
    }

    /// Takes in inbox rows, each once.
    pub(super) fn take_rows(&mut self, rows: Vec<InboxRow>) {
        for row in rows {
            if row.kind == MessageKind::Terminate {
                // The end deletes the row.
                let body: Option<TerminateBody> = serde_json::from_str(&row.body).ok();
                self.terminate = Some(body.map(|body| body.reason).unwrap_or_default());
            } else if self.rows_seen.insert(row.id) {
                self.inputs.push(Pending::of_row(row));
            }
        }
    }

    /// Takes in the inbox rows that a load has found. What waits here by memory alone is not durable yet, so its sender
    /// may have sent such a row before, and none of them after it.
    pub(super) fn take_loaded(&mut self, rows: Vec<InboxRow>) {
        let (known, by_memory): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.inputs).into_iter().partition(|pending| pending.row.is_some());
        self.inputs = known;
        self.take_rows(rows);
        self.inputs.extend(by_memory);
    }

    /// Forgets an inbox row that is deleted, or that must be taken in again.
    pub(super) fn forget_row(&mut self, row: Option<i64>) {
        if let Some(row) = row {
            self.rows_seen.remove(&row);
        }
    }

    /// Activities whose current attempt has ended and whose outcome waits here. The worker that ran the
    /// attempt may be gone: the attempt is not lost.
    pub(super) fn ended(&self, exec: &Execution) -> Vec<EventId> {
        let waits = |start: &ActivityStart| {
            let of_start = (start.activity, start.attempt);
            self.inputs.iter().any(|pending| match pending.input {
                Input::Attempt { activity, attempt, .. } => (activity, attempt) == of_start,
                _ => false,
            })
        };
        exec.outstanding().iter().filter(|start| waits(start)).map(|start| start.activity).collect()
    }

    /// A command that an outcome or an answer in the inbox names and the live state does not know. The commit that
    /// holds it came after the load, by an append whose outcome was unknown (PROTOCOL 34).
    pub(super) fn unknown_command(&self, exec: &Execution) -> Option<EventId> {
        let known = exec.history_len();
        self.inputs.iter().filter(|pending| pending.row.is_some()).find_map(|pending| match pending.input {
            Input::Attempt { activity: command, .. }
            | Input::Answered { command, .. }
            | Input::ChildEnded { child: command, .. } => (command.0 > known).then_some(command),
            _ => None,
        })
    }
}
