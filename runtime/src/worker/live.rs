//! One owned execution, as its workflow thread keeps it.
//!
//! The live state itself may be evicted (`exec` is then `None`) and replayed when it is next needed. The rest
//! stays while this worker owns the execution.

use super::attempts::Names;
use super::news::News;
use crate::error::Result;
use crate::store::{AttemptBody, ExecutionRow, InboxRow, MessageKind, NewExecution, StartAnswer};
use crate::wire::QueryAnswer;
use crate::wire::{CancelBody, SignalBody};
use abide_core::exec::{Action, ActivityStart, Execution, Input, Standing};
use abide_core::flow::Info;
use abide_core::{Event, EventId, ExecutionId, Payload, Site};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers a client's start.
pub(super) type StartReply = oneshot::Sender<Result<Option<StartAnswer>>>;
/// Answers a client's message.
pub(super) type SendReply = oneshot::Sender<Result<Option<()>>>;

/// A request to read the state of an execution.
pub(super) enum Look {
    /// A query.
    Query { name: String, input: Payload, reply: oneshot::Sender<Result<Option<QueryAnswer>>> },
    /// Where the execution waits.
    Awaiting { reply: oneshot::Sender<Option<Vec<&'static Site>>> },
}

/// An input that waits for the next turn.
pub(super) struct Pending {
    pub(super) input: Input,
    /// The inbox row that it came from.
    pub(super) row: Option<i64>,
    /// The input is an attempt's outcome that deleted the row which arbitrates the attempt: no other outcome
    /// is valid any more.
    pub(super) decided: bool,
    pub(super) reply: Option<SendReply>,
}

impl From<Input> for Pending {
    fn from(input: Input) -> Self {
        Self { input, row: None, decided: false, reply: None }
    }
}

/// What waits for the acknowledgement of the append in flight.
pub(super) struct InFlight {
    pub(super) actions: Vec<Action>,
    pub(super) standing: Standing,
    /// The inputs that the append holds, with their inbox rows and the clients that wait for them.
    pub(super) origins: Vec<Pending>,
    pub(super) start: Option<StartReply>,
    /// The execution's row once the append is durable.
    pub(super) known: Option<Known>,
    /// The closing event.
    pub(super) close: Option<Event>,
    /// What is logged once the append is durable.
    pub(super) news: News,
    /// No worker owns the execution after the append.
    pub(super) releases: bool,
}

impl InFlight {
    /// An append after which the execution has this standing, and that no client waits for.
    pub(super) fn of(standing: Standing) -> Self {
        Self {
            actions: Vec::new(),
            releases: standing != Standing::Open,
            standing,
            origins: Vec::new(),
            start: None,
            known: None,
            close: None,
            news: News::default(),
        }
    }
}

/// The state of the execution's row in the database, as of the last acknowledged append.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    /// The revision that the next row change expects (PROTOCOL 93).
    pub(super) rev: i64,
    pub(super) wake_ms: Option<i64>,
    pub(super) active: bool,
    pub(super) retried_ms: i64,
    pub(super) crashes: u32,
    /// The execution was taken over from a dead owner, and `Recovered` is not in the journal yet.
    pub(super) recovered: bool,
    /// Signals that this build has no handler for were offered to other builds.
    pub(super) offered: bool,
}

/// See the module documentation.
pub(super) struct Live {
    pub(super) id: ExecutionId,
    pub(super) names: Names,
    pub(super) queue: String,
    pub(super) exec: Option<Execution>,
    /// The load that the execution waits for. There is one at a time (PROTOCOL 34).
    pub(super) loading: Option<u64>,
    /// An `Own` message came while the execution was being released or read: check its row again afterwards.
    pub(super) named: bool,
    /// The execution was read again because the inbox has an outcome of an activity that it does not know.
    pub(super) read_again: bool,
    /// An append whose outcome is unknown: the load resolves it.
    pub(super) in_doubt: Option<InFlight>,
    pub(super) pending: Vec<Pending>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) looks: Vec<Look>,
    /// Retries that wait for their back-off.
    pub(super) delayed: Vec<ActivityStart>,
    /// Set by a load: outstanding attempts must be started once the first turn is durable.
    pub(super) restart: bool,
    /// The journal was empty: the arguments to start with.
    pub(super) unstarted: Option<Payload>,
    pub(super) known: Known,
    /// The next timer of an evicted execution.
    pub(super) timer_ms: Option<i64>,
    /// The time of its entry in the thread's timer heap.
    pub(super) armed_ms: Option<i64>,
    /// Inbox rows that were taken from the database and not yet deleted.
    pub(super) rows_seen: HashSet<i64>,
    /// The log has already warned that the history grows long.
    pub(super) warned: bool,
    /// What the journal holds, if each turn is checked.
    #[cfg(feature = "testing")]
    pub(super) recorded: super::verify::Recorded,
    /// An estimate of its memory, in bytes.
    pub(super) bytes: usize,
    /// When it was last used, by the thread's counter.
    pub(super) used: u64,
}

/// What a live execution costs beside its history (futures, tables, names), in bytes. An estimate.
pub(super) const BASE_BYTES: usize = 4 * 1024;

impl Live {
    fn blank(id: ExecutionId, names: Names, queue: String) -> Self {
        Self {
            id,
            names,
            queue,
            exec: None,
            loading: None,
            named: false,
            read_again: false,
            in_doubt: None,
            pending: Vec::new(),
            in_flight: None,
            looks: Vec::new(),
            delayed: Vec::new(),
            restart: false,
            unstarted: None,
            known: Known::default(),
            timer_ms: None,
            armed_ms: None,
            rows_seen: HashSet::new(),
            warned: false,
            #[cfg(feature = "testing")]
            recorded: super::verify::Recorded::default(),
            bytes: 0,
            used: 0,
        }
    }

    pub(super) fn starting(new: &NewExecution) -> Self {
        let names = Names {
            workflow_id: Arc::from(new.workflow_id.as_str()),
            run_id: Arc::from(new.run_id.as_str()),
            workflow_type: Arc::from(new.workflow_type.as_str()),
        };
        Self::blank(new.id, names, new.queue.clone())
    }

    /// An execution of which only the id is known: the database says that this worker owns it.
    pub(super) fn named(id: ExecutionId) -> Self {
        let nothing: Arc<str> = Arc::from("");
        let names =
            Names { workflow_id: Arc::clone(&nothing), run_id: Arc::clone(&nothing), workflow_type: nothing };
        Self::blank(id, names, String::new())
    }

    pub(super) fn claimed(row: &ExecutionRow) -> Self {
        let mut live = Self::named(row.id);
        live.know(row);
        live
    }

    /// Takes over the data of the row.
    pub(super) fn know(&mut self, row: &ExecutionRow) {
        self.names = Names {
            workflow_id: Arc::from(row.workflow_id.as_str()),
            run_id: Arc::from(row.run_id.as_str()),
            workflow_type: Arc::from(row.workflow_type.as_str()),
        };
        self.queue.clone_from(&row.queue);
        self.known = Known {
            rev: row.rev,
            wake_ms: row.wake_at_ms,
            active: row.active,
            retried_ms: row.retried_ms,
            crashes: row.crashes,
            recovered: row.recovered_from.is_some(),
            offered: self.known.offered,
        };
        self.unstarted = row.input.clone().and_then(|input| Payload::from_json(input).ok());
    }

    pub(super) fn info(&self) -> Info {
        let names = &self.names;
        Info::new(
            names.workflow_id.to_string(),
            names.run_id.to_string(),
            names.workflow_type.to_string(),
            self.queue.clone(),
        )
    }

    /// Takes in inbox rows, each once.
    pub(super) fn take_rows(&mut self, rows: Vec<InboxRow>) {
        for row in rows {
            if self.rows_seen.insert(row.id) {
                let id = Some(row.id);
                self.pending.push(Pending { row: id, ..pending_of(row) });
            }
        }
    }

    /// Activities whose attempt has ended and whose outcome waits here. The worker that ran the attempt may
    /// be gone: the attempt is not lost.
    pub(super) fn kept(&self) -> Vec<EventId> {
        let current = self.exec.as_ref().map(Execution::outstanding).unwrap_or_default();
        let waits = |start: &ActivityStart| {
            let this = |p: &Pending| matches!(p.input, Input::Attempt { activity, attempt, .. } if (activity, attempt) == (start.activity, start.attempt));
            self.pending.iter().any(this)
        };
        current.iter().filter(|start| waits(start)).map(|start| start.activity).collect()
    }

    /// An activity that an outcome in the inbox names and the live state does not know. The commit that
    /// scheduled it came after the load, by an append whose outcome was unknown (PROTOCOL 34).
    pub(super) fn unknown_activity(&self) -> Option<EventId> {
        let known = self.exec.as_ref()?.history_len();
        self.pending.iter().filter(|pending| pending.row.is_some()).find_map(|pending| match pending.input {
            Input::Attempt { activity, .. } => (activity.0 > known).then_some(activity),
            _ => None,
        })
    }

    /// Forgets an inbox row that is deleted, or that must be taken in again.
    pub(super) fn saw_no_more(&mut self, row: Option<i64>) {
        if let Some(row) = row {
            self.rows_seen.remove(&row);
        }
    }

    /// When a timer or a retry is next due.
    pub(super) fn due_ms(&self) -> Option<i64> {
        let timer = self.exec.as_ref().map_or(self.timer_ms, Execution::next_timer_ms);
        let retry = self.delayed.iter().filter_map(|start| start.not_before_ms).min();
        timer.into_iter().chain(retry).min()
    }

    /// Drops the live state; the journal brings it back.
    pub(super) fn unload(&mut self) {
        if let Some(exec) = self.exec.take() {
            self.timer_ms = exec.next_timer_ms();
        }
    }

    /// Whether the row must be written before the execution may continue. Either a back-off has ended, and
    /// its retry starts only when that is durable; or no activity runs any more, but the row says so.
    pub(super) fn is_row_behind(&self, now_ms: i64) -> bool {
        let Some(exec) = self.exec.as_ref() else { return false };
        let retry = exec.next_retry_ms(self.known.retried_ms).is_some_and(|at_ms| at_ms <= now_ms);
        retry || self.known.active && !exec.any_due(now_ms)
    }

    /// Whether the live state may be dropped: nothing is in progress that a replay would not restore.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.loading.is_none() && self.pending.is_empty() && self.looks.is_empty()
    }
}

/// The pending input for an inbox row.
fn pending_of(row: InboxRow) -> Pending {
    if row.kind != MessageKind::Attempt {
        return input_of(row.kind, &row.body, row.request_id).into();
    }
    match serde_json::from_str::<AttemptBody>(&row.body) {
        Ok(AttemptBody { activity, attempt, outcome, kept }) => {
            Pending { decided: !kept, ..Input::Attempt { activity, attempt, outcome }.into() }
        }
        Err(error) => unreadable(&row.body, row.request_id, &error).into(),
    }
}

/// The input for a client's message.
pub(super) fn input_of(kind: MessageKind, body: &str, request_id: String) -> Input {
    let read = match kind {
        MessageKind::Cancel => serde_json::from_str::<CancelBody>(body)
            .map(|CancelBody { reason }| Input::Cancel { request_id: request_id.clone(), reason }),
        _ => serde_json::from_str::<SignalBody>(body).map(|SignalBody { name, input }| Input::Signal {
            name,
            input,
            request_id: request_id.clone(),
        }),
    };
    read.unwrap_or_else(|error| unreadable(body, request_id, &error))
}

/// A message that cannot be read is kept in the history as a signal that no handler takes.
fn unreadable(body: &str, request_id: String, error: &serde_json::Error) -> Input {
    let why = abide_core::unread(body, error);
    tracing::error!(code = "AB0404", request_id, "AB0404: a message could not be read: {why}");
    let input = Payload::encode(body).unwrap_or_else(|_| Payload::null());
    Input::Signal { name: "unreadable message".to_owned(), input, request_id }
}
