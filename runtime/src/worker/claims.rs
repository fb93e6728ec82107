//! Finding work: claims of what is due, and the inboxes of what is owned.

use super::handle::Message;
use super::load;
use super::session::{Session, lock};
use super::turn;
use crate::client::message::{QueryBody, ReplyBody, to_json};
use crate::store::{
    Append, Claim, ExecutionRow, Find, InboxRow, MessageKind, Reply, RowChange, SUSPECT_FROM, StoreError,
    Suspicion,
};
use abide_core::ExecutionId;
use abide_core::exec::Suspension;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The most that one claim takes.
const CLAIM_LIMIT: u32 = 100;
/// So long a suspect runs before the next one may start beside it.
const ALONE: Duration = Duration::from_secs(10);
/// How long an answer for another process is kept.
const REPLY_KEPT_MS: i64 = 60_000;

/// Claims what is due until the session is over.
pub(super) async fn claim_loop(session: Arc<Session>) {
    if session.registry.workflow_names().is_empty() {
        return;
    }
    let mut changes = session.store().changes();
    while !session.draining.load(Ordering::Acquire) {
        let types = Some(session.registry.workflow_names());
        let claimed = session.store().claim(claim(&session, types, next_suspect(&session))).await;
        let wait = match claimed {
            Ok(claimed) => {
                let full = claimed.rows.len() >= CLAIM_LIMIT as usize;
                take(&session, claimed.rows).await;
                if full { Duration::ZERO } else { until(&session, claimed.next_due_ms) }
            }
            Err(error) => {
                session.failed(&error);
                session.pace().poll
            }
        };
        tokio::select! {
            biased;
            () = session.claim_hint.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// How suspicious the next suspect may be, where one may run now (PROTOCOL 19). One that has run for a while without
/// harm holds up no other. Those that went down alone with their worker wait until this one has lived for a while
/// without them: then a death that follows says something, and somebody who kills workers within seconds of their
/// start never gets as far as to incriminate the innocent.
fn next_suspect(session: &Session) -> Option<u32> {
    let busy = lock(&session.suspects).values().any(|since| since.elapsed() < ALONE);
    (!busy).then(|| most_crashes(session.since.elapsed()))
}

fn most_crashes(age: Duration) -> u32 {
    match age.as_secs() {
        0 => SUSPECT_FROM,
        1..4 => SUSPECT_FROM + 1,
        4..16 => SUSPECT_FROM + 2,
        16..64 => SUSPECT_FROM + 3,
        _ => u32::MAX,
    }
}

fn claim(session: &Session, types: Option<Vec<String>>, suspect: Option<u32>) -> Claim {
    Claim {
        owner: session.me,
        queues: vec![session.queue.clone()],
        types,
        build: session.options.build.clone(),
        limit: CLAIM_LIMIT,
        suspicion: Suspicion { suspect, guilty: session.options.max_crashes },
    }
}

pub(super) fn until(session: &Session, due_ms: Option<i64>) -> Duration {
    let left =
        due_ms.map(|at| Duration::from_millis(u64::try_from(at - session.store().now_ms()).unwrap_or(0)));
    // A due time in the past is that of something this worker may not run now: no hot loop for it.
    let poll = session.pace().poll;
    left.filter(|left| !left.is_zero()).map_or(poll, |left| left.min(poll))
}

async fn take(session: &Arc<Session>, rows: Vec<ExecutionRow>) {
    for row in rows {
        if row.crashes >= session.options.max_crashes {
            let message = format!(
                "its worker died {} times in a row while it ran, without progress: it, or an activity of its own, \
                 seems to end the process",
                row.crashes
            );
            suspend(session, &row, &Suspension::new("AB0205", message));
            continue;
        }
        if row.crashes >= SUSPECT_FROM {
            lock(&session.suspects).insert(row.id, Instant::now());
        }
        load::claimed(session, row).await;
    }
}

/// Suspends an execution that was claimed and never came to life.
fn suspend(session: &Arc<Session>, row: &ExecutionRow, reason: &Suspension) {
    let live = super::live::Live::claimed(row);
    let at_ms = session.store().now_ms();
    let mut change = turn::suspension(session, &live, reason, at_ms);
    if let Some(suspension) = change.suspension.as_mut().filter(|s| s.code == "AB0206") {
        // Not a matter of builds: whoever has the type may take it.
        suspension.build = String::new();
    }
    let (id, ended) = (row.id, Arc::clone(session));
    let ack = move |_| {
        ended.disown(id);
        ended.hub().look(id);
    };
    session.store().submit(bare(session, id, Some(change), Vec::new()), Box::new(ack));
}

/// An append of a row's change alone, outside of any turn.
pub(super) fn bare(
    session: &Session,
    execution: ExecutionId,
    row: Option<RowChange>,
    consumed: Vec<i64>,
) -> Append {
    Append { row, consumed, ..Append::bare(session.me, execution, session.store().now_ms()) }
}

/// Suspends what is due and of a type that this worker does not have, so that nobody waits for it in silence. A
/// worker that has the type takes it from there. One that runs activities only has no say in it.
pub(super) async fn unknown_types_loop(session: Arc<Session>) {
    if session.registry.workflow_names().is_empty() {
        return;
    }
    while !session.draining.load(Ordering::Acquire) {
        tokio::time::sleep(session.pace().unknown).await;
        match session.store().claim(claim(&session, None, None)).await {
            Ok(claimed) => {
                for row in claimed.rows {
                    match session.registry.workflow_type(&row.workflow_type) {
                        Some(_) => load::claimed(&session, row).await,
                        None => unknown(&session, &row),
                    }
                }
            }
            Err(error) => session.failed(&error),
        }
    }
}

/// Suspends a claimed execution whose type nobody here has.
pub(super) fn unknown(session: &Arc<Session>, row: &ExecutionRow) {
    suspend(session, row, &load::unknown_type(&row.workflow_type));
}

/// Brings inbox rows to the threads: after another process wrote, and when somebody here says so.
pub(super) async fn inbox_loop(session: Arc<Session>) {
    let mut changes = session.store().changes();
    while !session.is_over() {
        if let Err(error) = drain_inbox(&session).await {
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

/// Reads the inboxes of everything owned and hands each row to its thread.
pub(super) async fn drain_inbox(session: &Arc<Session>) -> Result<(), StoreError> {
    session.inbox_dirty.store(false, Ordering::Release);
    let rows = session.store().inbox(session.me).await?;
    let mut by_execution: BTreeMap<ExecutionId, Vec<InboxRow>> = BTreeMap::new();
    for row in set_aside(session, rows) {
        by_execution.entry(row.execution).or_default().push(row);
    }
    for (execution, rows) in by_execution {
        if session.send(execution, Message::Inbox { execution, rows }).is_err() {
            // Not live (yet): its load may have read the inbox before these came, so they are looked for again.
            session.inbox_dirty.store(true, Ordering::Release);
        }
    }
    answer_elsewhere(session).await
}

/// Keeps the rows that are inputs; the others are the worker's own business and are done here.
pub(super) fn set_aside(session: &Arc<Session>, rows: Vec<InboxRow>) -> Vec<InboxRow> {
    let (inputs, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| load::is_input(row.kind));
    for row in others {
        match row.kind {
            MessageKind::Terminated => terminated(session, &row),
            _ => {
                let session = Arc::clone(session);
                tokio::spawn(async move { answer_query(&session, row).await });
            }
        }
    }
    inputs
}

fn terminated(session: &Arc<Session>, row: &InboxRow) {
    let execution = row.execution;
    let _ = session.send(execution, Message::Gone { execution });
    session.attempts.drop_all(execution);
    let change = RowChange { release: true, ..RowChange::default() };
    let ended = Arc::clone(session);
    let ack = move |_| {
        ended.disown(execution);
        ended.hub().look(execution);
    };
    session.store().submit(bare(session, execution, Some(change), vec![row.id]), Box::new(ack));
}

/// Queries of executions that nobody may own: closed or suspended ones, of types that this worker has.
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
        && let Ok(QueryBody { name, input }) = serde_json::from_str(&row.body)
    {
        let answer = match super::local::query(session, row.execution, &name, input).await {
            Ok(None) => return,
            Ok(Some(answer)) => Ok(answer),
            // The database's trouble is no answer: it is asked again, by this worker or another.
            Err(error) if error.code().starts_with("AB05") => {
                return tracing::warn!(code = error.code(), query = name, "a query waits: {error}");
            }
            Err(error) => Err(error),
        };
        let body = to_json(&ReplyBody::of(&name, answer));
        let reply = Reply { request_id: row.request_id, body, expires_at_ms: now_ms + REPLY_KEPT_MS };
        if let Err(error) = session.store().put_reply(reply).await {
            return session.failed(&error);
        }
    }
    if let Err(error) = session.store().drop_messages(vec![row.id]).await {
        session.failed(&error);
    }
}

/// The row of an execution, for a look at one that is not live here.
pub(super) async fn find(
    session: &Session,
    execution: ExecutionId,
) -> Result<Option<ExecutionRow>, StoreError> {
    session.store().find(Find::Execution(execution)).await
}
