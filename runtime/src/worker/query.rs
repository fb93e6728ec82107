//! Reads the state of runs: queries, and where a run waits. A live state answers on its thread. A run that is
//! not live here is replayed, and nothing is written.

use super::mailbox::{Message, Read};
use super::names::Names;
use super::session::Session;
use super::stored::decode;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, Find};
use crate::wire::{AWAITING_QUERY, AwaitPosition, QueryAnswer};
use abide_core::exec::{Execution, QueryFault};
use abide_core::{Event, ExecutionId, Payload, Site};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers a read from a live state.
pub(super) fn answer(exec: &Execution, read: Read, workflow_type: &str) {
    match read {
        Read::Query { name, input, reply } => {
            drop(reply.send(run_query(exec, &name, &input, workflow_type).map(Some)))
        }
        Read::Awaiting { reply } => drop(reply.send(Some(exec.awaiting()))),
    }
}

/// Answers that the run is not live here.
pub(super) fn not_here(read: Read) {
    match read {
        Read::Query { reply, .. } => drop(reply.send(Ok(None))),
        Read::Awaiting { reply } => drop(reply.send(None)),
    }
}

fn run_query(exec: &Execution, name: &str, input: &Payload, workflow_type: &str) -> Result<QueryAnswer> {
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

/// Answers from a replay that changes nothing, for runs that are closed, suspended or owned by another
/// worker. A build whose code differs from the history has no answer, or a wrong one; the owner is then asked
/// instead. The replay runs workflow code, so it gets a thread of its own.
async fn replayed(
    session: &Arc<Session>,
    row: ExecutionRow,
    name: String,
    input: Payload,
) -> Result<Option<QueryAnswer>> {
    let Some(workflow) = session.registry.workflow_type(&row.workflow_type).copied() else { return Ok(None) };
    // The answer does not depend on failed attempts: workflow code never sees them.
    let journal = match decode(session.store().journal(row.id).await?, &[], Vec::new()) {
        Ok(journal) => journal,
        Err(reason) => return Err(Error::QueryFailed { query: name, message: reason.to_string() }),
    };
    let answer = session.abide.host().run_aside(move || {
        let mut exec =
            Execution::again(&workflow, Names::from(&row).info(), std::rc::Rc::new(|_: &str| true));
        let begun = journal.rows.iter().flat_map(|row| &row.events).any(is_start);
        exec.replay_to_look(journal.rows);
        // A run without a first turn is looked at as its first turn will begin.
        let input_of_run = row.input.clone().filter(|_| !begun).map(Payload::from_json);
        if let Some(Ok(input)) = input_of_run {
            exec.prepare_to_look(&input);
        }
        // If the replay broke off, its position still answers where the execution waits.
        match exec.broke_off().filter(|_| name != AWAITING_QUERY && !mutant!(QueryBrokenOff)) {
            None => run_query(&exec, &name, &input, &row.workflow_type).map(Some),
            // Its owner's build can answer.
            Some(_) if row.owner.is_some() => Ok(None),
            Some(reason) => {
                let message =
                    format!("this build cannot replay the run: {} ({})", reason.message, reason.code);
                Err(Error::QueryFailed { query: name, message })
            }
        }
    });
    match answer.await {
        Ok(answer) => answer,
        Err(error) => Err(Error::QueryFailed { query: String::new(), message: error.to_string() }),
    }
}

fn is_start(event: &Event) -> bool {
    matches!(event, Event::Started { .. })
}

/// Finds where a run that no worker has loaded waits, by a read-only replay.
pub(super) async fn awaiting_of_nobody(
    session: &Arc<Session>,
    execution: ExecutionId,
) -> Result<Option<Vec<AwaitPosition>>> {
    match session.store().find(Find::Execution(execution)).await? {
        Some(row) if row.owner.is_none() => {
            let answer = replayed(session, row, AWAITING_QUERY.to_owned(), Payload::null()).await?;
            Ok(answer.and_then(|answer| answer.ok()?.decode().ok()))
        }
        _ => Ok(None),
    }
}

/// Asks the live state, or a read-only replay if the run is not live here.
pub(super) async fn query(
    session: &Arc<Session>,
    execution: ExecutionId,
    name: &str,
    input: Payload,
) -> Result<Option<QueryAnswer>> {
    if let Some(thread) = session.owner_thread(execution) {
        let (reply, answer) = oneshot::channel();
        let read = Read::Query { name: name.to_owned(), input: input.clone(), reply };
        let sent = thread.send(Message::Read { execution, read }).is_ok();
        let answer = tokio::select! {
            biased;
            answer = answer, if sent => answer.unwrap_or(Ok(None))?,
            () = thread.gone.cancelled() => None,
            else => None,
        };
        if answer.is_some() {
            return Ok(answer);
        }
    }
    match session.store().find(Find::Execution(execution)).await? {
        Some(row) => replayed(session, row, name.to_owned(), input).await,
        None => Ok(None),
    }
}
