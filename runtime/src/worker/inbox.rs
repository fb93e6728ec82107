//! Reads the inboxes of owned runs: inputs go to the threads of their runs. The other rows are for the worker
//! itself: queries, and ends from outside.

use super::mailbox::Message;
use super::query;
use super::session::Session;
use crate::store::{Append, InboxRow, MessageKind, Reply, RowChange, StoreError};
use crate::wire::{QueryBody, ReplyBody, to_json};
use abide_core::{Code, ExecutionId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long an answer for another process is kept, in milliseconds.
const REPLY_KEPT_MS: i64 = 60_000;

/// Brings inbox rows to the threads: after another process wrote, and when this process asks for it.
pub(super) async fn inbox_loop(session: Arc<Session>) {
    let mut changes = session.store().changes();
    while !session.is_over() {
        if let Err(error) = drain(&session).await {
            session.failed(&error);
        }
        tokio::select! {
            biased;
            () = session.inbox_hint.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(session.pace().poll) => {}
        }
    }
}

/// Reads the inboxes of all owned executions and hands each row to its thread.
pub(super) async fn drain(session: &Arc<Session>) -> Result<(), StoreError> {
    session.inbox_dirty.store(false, Ordering::Release);
    let rows = session.store().inbox(session.me).await?;
    let mut by_execution: BTreeMap<ExecutionId, Vec<InboxRow>> = BTreeMap::new();
    for row in set_aside(session, rows) {
        by_execution.entry(row.execution).or_default().push(row);
    }
    for (execution, rows) in by_execution {
        if session.send(execution, Message::Inbox { execution, rows }).is_err() {
            // Not live (yet). Its load may have read the inbox before these rows came, so look for them
            // again.
            session.inbox_dirty.store(true, Ordering::Release);
        }
    }
    answer_elsewhere(session).await
}

/// Returns the rows that are inputs, or that end the run. The other rows concern the worker itself and are handled
/// here.
pub(super) fn set_aside(session: &Arc<Session>, rows: Vec<InboxRow>) -> Vec<InboxRow> {
    rows.into_iter().filter_map(|row| input(session, row)).collect()
}

fn input(session: &Arc<Session>, row: InboxRow) -> Option<InboxRow> {
    match row.kind {
        MessageKind::Signal
        | MessageKind::Cancel
        | MessageKind::Attempt
        | MessageKind::Update
        | MessageKind::Answer
        | MessageKind::ChildEnded
        | MessageKind::Terminate => {
            return Some(row);
        }
        MessageKind::Terminated => terminated(session, &row),
        MessageKind::Query => {
            let session = Arc::clone(session);
            tokio::spawn(async move { answer_query(&session, row).await });
        }
        // Keep it for a later release that knows this kind.
        MessageKind::Newer(_) => {}
    }
    None
}

fn terminated(session: &Arc<Session>, row: &InboxRow) {
    let execution = row.execution;
    let _ = session.send(execution, Message::Terminated { execution });
    session.attempts.drop_all(execution);
    let change = RowChange { release: true, ..RowChange::default() };
    let ended = Arc::clone(session);
    let ack = move |_| {
        ended.disown(execution);
        ended.hub().row_changed(execution);
    };
    // The row shows that the execution is closed: no worker claims it, and this append may be repeated
    // (PROTOCOL 93).
    let append = Append {
        consumed: vec![row.id],
        row: Some(change),
        ..Append::bare(session.me, execution, session.store().now_ms())
    };
    session.store().submit(append, Box::new(ack));
}

/// Answers queries of executions that may have no owner: closed or suspended ones, of types that this worker
/// has.
async fn answer_elsewhere(session: &Arc<Session>) -> Result<(), StoreError> {
    let types = session.registry.workflow_names();
    for row in session.store().open_queries(vec![session.queue.clone()], types).await? {
        answer_query(session, row).await;
    }
    Ok(())
}

async fn answer_query(session: &Arc<Session>, row: InboxRow) {
    let now_ms = session.store().now_ms();
    if row.at_ms + REPLY_KEPT_MS > now_ms
        && let Ok(QueryBody { name, input, asker }) = serde_json::from_str(&row.body)
    {
        let answer = match query::query(session, row.execution, &name, input).await {
            Ok(None) => return,
            Ok(Some(answer)) => Ok(answer),
            // A database error is not an answer: this worker, or another, tries the query again.
            Err(error) if Code::of(error.code()).is_some_and(Code::is_of_the_store) => {
                return tracing::warn!(code = error.code(), query = name, "a query waits: {error}");
            }
            Err(error) => Err(error),
        };
        let body = to_json(&ReplyBody::of(&name, answer));
        let expires_at_ms = now_ms + REPLY_KEPT_MS;
        let reply = Reply { request_id: row.request_id, body, stage: 0, expires_at_ms, asker };
        if let Err(error) = session.store().put_reply(reply).await {
            return session.failed(&error);
        }
    }
    if let Err(error) = session.store().drop_messages(vec![row.id]).await {
        session.failed(&error);
    }
}
