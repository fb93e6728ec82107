//! Finds work: claims executions that are due, and reads the inboxes of owned executions.

use super::handle::Message;
use super::load;
use super::session::{Session, lock};
use crate::store::{
    Append, Claim, ExecutionRow, Find, InboxRow, MessageKind, Reply, RowChange, SUSPECT_FROM, StoreError,
    Suspicion,
};
use crate::wire::{QueryBody, ReplyBody, to_json};
use abide_core::ExecutionId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The most rows that one claim takes.
const CLAIM_LIMIT: u32 = 100;
/// How long a suspect runs before the next suspect may start beside it.
const ALONE: Duration = Duration::from_secs(10);
/// How long an answer for another process is kept, in milliseconds.
const REPLY_KEPT_MS: i64 = 60_000;

/// When an arm is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rhythm {
    /// When something may have changed, when the next execution is due, and once a poll.
    Woken,
    /// Once in [`Pace::unknown`](crate::host::Pace::unknown).
    Slow,
}

/// One kind of work that workers claim.
struct Arm {
    rhythm: Rhythm,
    /// Whether this worker takes part. An arm for every worker, whatever it has registered, says `true`.
    takes_part: fn(&Session) -> bool,
    /// What it asks for.
    claim: fn(&Session) -> Claim,
}

/// All arms. A worker whose registrations give it no part in an arm never asks for it.
static ARMS: [Arm; 2] = [
    // Executions of its types.
    Arm {
        rhythm: Rhythm::Woken,
        takes_part: has_workflows,
        claim: |session| claim(session, Some(session.registry.workflow_names()), next_suspect(session)),
    },
    // Executions whose type no worker of the queue has. Their threads suspend them, so that a client gets the reason
    // instead of waiting in silence. A worker that has the type takes such an execution from there.
    Arm { rhythm: Rhythm::Slow, takes_part: has_workflows, claim: |session| claim(session, None, None) },
];

fn has_workflows(session: &Session) -> bool {
    !session.registry.workflow_names().is_empty()
}

/// The arms of this rhythm in which the worker takes part.
fn arms(session: &Session, rhythm: Rhythm) -> Vec<&'static Arm> {
    ARMS.iter().filter(|arm| arm.rhythm == rhythm && (arm.takes_part)(session)).collect()
}

/// Claims executions that are due, until the session ends. A worker that takes part in no arm has nothing to do here.
pub(super) async fn claim_loop(session: Arc<Session>) {
    let arms = arms(&session, Rhythm::Woken);
    if arms.is_empty() {
        return;
    }
    let mut changes = session.store().changes();
    while !session.draining.load(Ordering::Acquire) {
        let mut wait = session.pace().poll;
        for arm in &arms {
            wait = wait.min(ask(&session, arm).await);
        }
        tokio::select! {
            biased;
            () = session.claim_hint.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Claims the work of one arm. Returns how long to wait before the next claim.
async fn ask(session: &Arc<Session>, arm: &Arm) -> Duration {
    let asked_ms = session.store().now_ms();
    match session.store().claim((arm.claim)(session)).await {
        Ok(claimed) => {
            let full = claimed.rows.len() >= CLAIM_LIMIT as usize;
            take(session, claimed.rows).await;
            if claimed.offered {
                match session.store().claim_offered((arm.claim)(session)).await {
                    Ok(rows) => take(session, rows).await,
                    Err(error) => session.failed(&error),
                }
            }
            if full { Duration::ZERO } else { until(session, claimed.next_due_ms, asked_ms) }
        }
        Err(error) => {
            session.failed(&error);
            session.pace().poll
        }
    }
}

/// The highest crash count that the next claimed suspect may have; `None` while no further suspect may run
/// (PROTOCOL 19). A suspect that has run for `ALONE` without harm no longer holds up the others. Suspects
/// that died alone with their worker wait until this worker has lived for a while without them. Then a death
/// that follows is evidence, and killing workers within seconds of their start never incriminates an innocent
/// execution.
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

/// How long to wait after a claim that was sent at `asked_ms` and returned the next due time `due_ms`.
pub(super) fn until(session: &Session, due_ms: Option<i64>, asked_ms: i64) -> Duration {
    wait(due_ms, asked_ms, session.store().now_ms(), session.pace().poll)
}

/// If `due_ms` is not after `asked_ms`, the execution was due but not taken: this worker may not run it now,
/// so wait a full poll instead of looping. If it became due since then, it was too late for that claim: the
/// next claim follows at once.
fn wait(due_ms: Option<i64>, asked_ms: i64, now_ms: i64, poll: Duration) -> Duration {
    let next = due_ms.filter(|at_ms| *at_ms > asked_ms);
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0));
    next.map_or(poll, |at_ms| left(at_ms).min(poll))
}

/// Tells each thread which of its executions were claimed; the thread reads them. Waits while enough are
/// being read.
async fn take(session: &Arc<Session>, rows: Vec<ExecutionRow>) {
    for row in rows {
        if (SUSPECT_FROM..session.options.max_crashes).contains(&row.crashes) {
            lock(&session.suspects).insert(row.id, Instant::now());
        }
        name_in_turn(session, row.id).await;
    }
}

/// Tells its thread that the execution is owned, once few enough executions are being read.
pub(super) async fn name_in_turn(session: &Arc<Session>, execution: ExecutionId) {
    let permit = Arc::clone(&session.loads).acquire_owned().await.ok();
    load::name(session, execution, permit);
}

/// An append that only changes the row, outside of any turn.
pub(super) fn bare(session: &Session, execution: ExecutionId, row: RowChange, rev: Option<i64>) -> Append {
    Append { row: Some(row), rev, ..Append::bare(session.me, execution, session.store().now_ms()) }
}

/// Claims what need not be found at once, until the session ends.
pub(super) async fn slow_claim_loop(session: Arc<Session>) {
    let arms = arms(&session, Rhythm::Slow);
    while !arms.is_empty() && !session.draining.load(Ordering::Acquire) {
        tokio::time::sleep(session.pace().unknown).await;
        for arm in &arms {
            ask(&session, arm).await;
        }
    }
}

/// Brings inbox rows to the threads: after another process wrote, and when this process asks for it.
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

/// Reads the inboxes of all owned executions and hands each row to its thread.
pub(super) async fn drain_inbox(session: &Arc<Session>) -> Result<(), StoreError> {
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

/// Returns the rows that are inputs. The other rows concern the worker itself and are handled here.
pub(super) fn set_aside(session: &Arc<Session>, rows: Vec<InboxRow>) -> Vec<InboxRow> {
    let (inputs, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kind.is_input());
    for row in others {
        match row.kind {
            MessageKind::Terminated => terminated(session, &row),
            // Keep it for a later release that knows this kind.
            MessageKind::Newer(_) => {}
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
    // The row shows that the execution is closed: no worker claims it, and this append may be repeated
    // (PROTOCOL 93).
    let append = Append { consumed: vec![row.id], ..bare(session, execution, change, None) };
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
        let answer = match super::local::query(session, row.execution, &name, input).await {
            Ok(None) => return,
            Ok(Some(answer)) => Ok(answer),
            // A database error is not an answer: this worker, or another, tries the query again.
            Err(error) if error.code().starts_with("AB05") => {
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

/// Reads the row of an execution that is not live here.
pub(super) async fn find(
    session: &Session,
    execution: ExecutionId,
) -> Result<Option<ExecutionRow>, StoreError> {
    session.store().find(Find::Execution(execution)).await
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "claims_tests.rs"]
mod tests;
