//! Reads executions: decodes journals for a thread, and answers reads of state from live or replayed
//! executions.

use super::handle::{Message, ThreadHandle};
use super::live::Look;
use super::session::{Session, lock};
use crate::error::{Error, Result};
use crate::store::{AttemptRow, ExecutionRow, InboxRow, StoredRun, StoredTurn, Unreadable};
use crate::wire::AWAITING_QUERY;
use crate::wire::AwaitPosition;
use crate::wire::QueryAnswer;
use abide_core::exec::{Execution, FailedAttempt, QueryFault, Suspension};
use abide_core::{Event, ExecutionId, JournalRow, Payload, Site};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A decoded journal, with the failed attempts that are kept beside it.
pub(super) struct Journal {
    pub(super) rows: Vec<JournalRow>,
    pub(super) bytes: usize,
    /// The last failed attempts of open activities.
    pub(super) attempts: Vec<FailedAttempt>,
}

/// The answer to a thread's load of one execution.
pub(super) struct Loaded {
    pub(super) execution: ExecutionId,
    /// The number of the load. The thread drops the answer to a load that it no longer waits for.
    pub(super) load: u64,
    /// `None`: there is no such execution.
    pub(super) found: Option<Found>,
}

/// What a thread needs to make an execution live, all read at one moment.
pub(super) struct Found {
    pub(super) row: ExecutionRow,
    pub(super) journal: std::result::Result<Journal, Suspension>,
    /// The rows that are inputs.
    pub(super) inbox: Vec<InboxRow>,
}

/// Decodes a journal's rows, and those of failed attempts.
pub(super) fn decode(
    turns: Vec<StoredTurn>,
    attempts: &[AttemptRow],
) -> std::result::Result<Journal, Suspension> {
    let bytes = turns.iter().map(|turn| turn.body.len()).sum();
    let rows = turns.iter().map(|turn| {
        turn.read().map_err(|unreadable| match unreadable {
            Unreadable::Newer(message) => {
                Suspension::new("AB0213", format!("a newer release of abide wrote its history: {message}"))
            }
            Unreadable::Damaged(message) => {
                Suspension::new("AB0209", format!("its journal is damaged: {message}"))
            }
        })
    });
    let rows = rows.collect::<std::result::Result<_, _>>()?;
    let attempts = attempts.iter().map(AttemptRow::decode).collect::<std::result::Result<_, _>>();
    Ok(Journal { rows, bytes, attempts: attempts.map_err(|message| Suspension::new("AB0209", message))? })
}

/// Reads all of an execution, and retries storage errors: they are never a workflow's outcome. The outer
/// `None`: the session is over. The inner `None`: there is no such execution.
async fn read(session: &Session, execution: ExecutionId) -> Option<Option<StoredRun>> {
    let mut wait = Duration::from_millis(10);
    while !session.is_over() {
        match session.store().load(execution).await {
            Ok(run) => return Some(run),
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
    None
}

/// Reads the row of an execution, and retries storage errors: otherwise no worker would ever run it. `None`:
/// there is no such execution, or the session is over.
pub(super) async fn found(session: &Session, execution: ExecutionId) -> Option<ExecutionRow> {
    while !session.is_over() {
        match super::claims::find(session, execution).await {
            Ok(row) => return row,
            Err(error) => session.failed(&error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    None
}

/// Tells the execution's thread that this worker owns the execution, as the database says. The thread reads
/// the execution, unless it already has it.
pub(super) fn name(session: &Session, execution: ExecutionId, permit: Option<OwnedSemaphorePermit>) {
    let thread = session.home_of(execution);
    let _ = lock(&thread.named).insert(execution, permit);
    if thread.send(Message::Own { execution }).is_err() {
        // The thread is being replaced. The comparison with the database finds the execution later.
        lock(&thread.named).remove(&execution);
        session.doubtful.store(true, Ordering::Release);
    }
}

/// Reads an execution for the thread that has an entry for it and waits for this load. Must be called in the
/// context of a tokio runtime.
pub(super) fn begin(
    session: &Arc<Session>,
    thread: &Arc<ThreadHandle>,
    (execution, load): (ExecutionId, u64),
    permit: Option<OwnedSemaphorePermit>,
) {
    let (session, thread) = (Arc::clone(session), Arc::clone(thread));
    tokio::spawn(async move {
        let Some(run) = read(&session, execution).await else { return };
        let found = run.map(|StoredRun { row, journal, attempts, inbox }| {
            let mine = row.owner == Some(session.me);
            let inbox = if mine { super::claims::set_aside(&session, inbox) } else { Vec::new() };
            let damaged = |message: String| Err(Suspension::new("AB0209", message));
            let journal = journal.map_or_else(damaged, |turns| decode(turns, &attempts));
            Found { journal, inbox, row }
        });
        let _ = thread.send(Message::Load(Box::new(Loaded { execution, load, found })));
        drop(permit);
    });
}

/// The reason to suspend an execution whose type this worker does not have.
pub(super) fn unknown_type(name: &str) -> Suspension {
    let message = format!(
        "no worker on its task queue has workflow type `{name}`: register it with `.workflow({name})`; it goes on as \
         soon as a worker that has it starts"
    );
    Suspension::new("AB0206", message)
}

/// Answers a look from a live execution.
pub(super) fn answer(exec: &Execution, look: Look, workflow_type: &str) {
    match look {
        Look::Query { name, input, reply } => {
            drop(reply.send(query(exec, &name, &input, workflow_type).map(Some)))
        }
        Look::Awaiting { reply } => drop(reply.send(Some(exec.awaiting()))),
    }
}

/// Answers that the execution is not live here.
pub(super) fn not_here(look: Look) {
    match look {
        Look::Query { reply, .. } => drop(reply.send(Ok(None))),
        Look::Awaiting { reply } => drop(reply.send(None)),
    }
}

fn query(exec: &Execution, name: &str, input: &Payload, workflow_type: &str) -> Result<QueryAnswer> {
    if name == AWAITING_QUERY {
        return Ok(Ok(Payload::encode(&positions(&exec.awaiting()))?));
    }
    exec.query(name, input).map_err(|fault| match fault {
        QueryFault::Unknown(_) => {
            Error::UnknownQuery { workflow_type: workflow_type.to_owned(), query: name.to_owned() }
        }
        QueryFault::Payload(error) => {
            Error::QueryFailed { query: name.to_owned(), message: error.to_string() }
        }
        QueryFault::Panicked(message) => {
            Error::QueryFailed { query: name.to_owned(), message: format!("its handler panicked: {message}") }
        }
        QueryFault::Unavailable(message) => Error::QueryFailed { query: name.to_owned(), message },
    })
}

/// Await points in the form that a client gets.
pub(super) fn positions(sites: &[&'static Site]) -> Vec<AwaitPosition> {
    let position = |site: &&'static Site| AwaitPosition {
        file: site.file.to_owned(),
        line: site.line,
        column: site.column,
        text: site.text.to_owned(),
    };
    sites.iter().map(position).collect()
}

/// Answers from a replay that changes nothing, for executions that are closed, suspended or owned by another
/// worker. A build whose code differs from the history has no answer, or a wrong one; the owner is then asked
/// instead. The replay runs workflow code, so it gets a thread of its own.
pub(super) async fn replayed(
    session: &Arc<Session>,
    row: ExecutionRow,
    name: String,
    input: Payload,
) -> Result<Option<QueryAnswer>> {
    let Some(workflow) = session.registry.workflow_type(&row.workflow_type).copied() else { return Ok(None) };
    // The answer does not depend on failed attempts: workflow code never sees them.
    let journal = match decode(session.store().journal(row.id).await?, &[]) {
        Ok(journal) => journal,
        Err(reason) => return Err(Error::QueryFailed { query: name, message: reason.to_string() }),
    };
    let looked = session.abide.host().run_aside(move || {
        let live = super::live::Live::claimed(&row);
        let mut exec = Execution::again(&workflow, live.info(), std::rc::Rc::new(|_: &str| true));
        let begun = journal.rows.iter().flat_map(|row| &row.events).any(is_start);
        exec.replay_to_look(journal.rows);
        // An execution without a first turn is looked at as its first turn will begin.
        if let Some(input) = live.unstarted.filter(|_| !begun) {
            exec.prepare_to_look(&input);
        }
        // If the replay broke off, its position still answers where the execution waits.
        match exec.broke_off().filter(|_| name != AWAITING_QUERY && !mutant!(QueryBrokenOff)) {
            None => query(&exec, &name, &input, &row.workflow_type).map(Some),
            // Its owner's build can answer.
            Some(_) if row.owner.is_some() => Ok(None),
            Some(reason) => {
                let message =
                    format!("this build cannot replay the run: {} ({})", reason.message, reason.code);
                Err(Error::QueryFailed { query: name, message })
            }
        }
    });
    match looked.await {
        Ok(answer) => answer,
        Err(error) => Err(Error::QueryFailed { query: String::new(), message: error.to_string() }),
    }
}

fn is_start(event: &Event) -> bool {
    matches!(event, Event::Started { .. })
}
