//! What becomes of an attempt's end. The outcome of an own attempt goes to the run's thread, or into the inbox
//! if this worker does not own the run any more. The outcome of a task deletes the task's row (PROTOCOL 22).
//! A storage error is never an outcome: a write is retried for as long as the session lives.

use super::attempts::Key;
use super::inputs::outcome_message;
use super::mailbox::Message;
use super::session::Session;
use crate::activity::runner::ReportFn;
use crate::activity::transaction::{AttemptEnd, HandedOut};
use crate::store::{AttemptBody, HandOut, StoreError, TaskKey};
use crate::wire::to_json;
use abide_core::exec::AttemptOutcome;
use abide_core::{Code, EventId, ExecutionId, FailureKind, FailureRecord};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The longest wait before a write is retried.
const RETRY_AT_MOST: Duration = Duration::from_secs(2);

/// Receives the end of this attempt.
pub(super) fn report(session: &Arc<Session>, key: Key, attempt: u32) -> ReportFn {
    let weak = Arc::downgrade(session);
    Box::new(move |end| {
        if let Some(session) = weak.upgrade() {
            ended(&session, key, attempt, end);
        }
    })
}

fn ended(session: &Arc<Session>, key: Key, attempt: u32, end: AttemptEnd) {
    match (key, end) {
        (Key::Claimed(task), AttemptEnd::Outcome(outcome)) => task_ended(session, task, outcome),
        (Key::Own(run, activity), AttemptEnd::Outcome(outcome)) => {
            deliver(session, (run, activity), attempt, outcome);
        }
        (Key::Own(run, _), AttemptEnd::Stored) => {
            // The outcome becomes known when the thread takes the row in. Until then the attempt counts as
            // running here.
            if !session.owns(run) {
                session.attempts.settle(key, attempt);
            }
            session.inbox_dirty.store(true, Ordering::Release);
            session.inbox_hint.notify_one();
        }
        (Key::Claimed(task), AttemptEnd::Later(left)) => handed_out(session, task, left),
        // Without a task the runner makes a failure of it.
        (Key::Own(..), AttemptEnd::Superseded | AttemptEnd::Later(_)) => {
            session.attempts.settle(key, attempt)
        }
        (_, AttemptEnd::Fatal(error)) => session.failed(&error),
        // A task has no transaction: its attempt always has an outcome.
        (Key::Claimed(_), AttemptEnd::Stored | AttemptEnd::Superseded) => {}
    }
}

/// Gives the outcome to the run's thread, or writes it to the inbox if this session does not own the run.
fn deliver(
    session: &Arc<Session>,
    (execution, activity): (ExecutionId, EventId),
    attempt: u32,
    outcome: AttemptOutcome,
) {
    let key = Key::Own(execution, activity);
    if !session.attempts.ended(key, attempt, &outcome) {
        return;
    }
    if mutant!(DropCompletionAtShutdown) && session.draining.load(Ordering::Acquire) {
        return session.attempts.settle(key, attempt);
    }
    let message = Message::Attempt { execution, activity, attempt, outcome };
    if let Err(Message::Attempt { outcome, .. }) = session.send(execution, message) {
        not_taken(session, (execution, activity), attempt, outcome);
    }
}

/// The run is not here (any more), so its inbox keeps the outcome. Must be called in the context of a tokio
/// runtime.
pub(super) fn not_taken(
    session: &Arc<Session>,
    of: (ExecutionId, EventId),
    attempt: u32,
    outcome: AttemptOutcome,
) {
    let session = Arc::clone(session);
    tokio::spawn(async move { keep(&session, of, attempt, outcome).await });
}

/// Writes the outcome into the inbox of a run that this session does not own. Stops if the outcome is taken in
/// here in the meantime.
async fn keep(
    session: &Session,
    (execution, activity): (ExecutionId, EventId),
    attempt: u32,
    outcome: AttemptOutcome,
) {
    let key = Key::Own(execution, activity);
    let message = outcome_message(execution, (activity, attempt, outcome), session.store().now_ms());
    let mut wait = Duration::from_millis(50);
    while session.attempts.has(key, attempt) && !session.is_over() {
        match session.store().send(message.clone()).await {
            Ok(_) => session.attempts.settle(key, attempt),
            Err(error) => {
                tracing::warn!(code = error.code(), %execution, "an outcome waits to be kept: {error}");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_AT_MOST);
            }
        }
    }
    // This worker may have claimed the run in between.
    session.claim_hint.notify_one();
    session.inbox_hint.notify_one();
}

/// A task has ended. Must be called in the context of a tokio runtime.
pub(super) fn task_ended(session: &Arc<Session>, task: TaskKey, outcome: AttemptOutcome) {
    if session.attempts.ended(Key::Claimed(task), task.attempt, &outcome) {
        tokio::spawn(finish_task(Arc::clone(session), task, outcome));
    }
}

/// Writes a task's outcome, and retries until it is written. If the store refuses the outcome's content, a
/// failure that says so is written instead.
async fn finish_task(session: Arc<Session>, task: TaskKey, outcome: AttemptOutcome) {
    let TaskKey { activity, attempt, .. } = task;
    let body = |outcome| to_json(&AttemptBody { activity, attempt, outcome, kept: false, details: None });
    let (mut body_now, mut wait) = (body(outcome), Duration::from_millis(10));
    while !session.is_over() {
        match session.store().finish_task(session.me, task, body_now.clone()).await {
            Ok(_) => return session.attempts.settle(Key::Claimed(task), attempt),
            Err(StoreError::BadRow { message }) => {
                body_now = body(refused(Code::UnstorableResult, "its", &message))
            }
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_AT_MOST);
            }
        }
    }
    // It stays in the table: it has begun, and is not to be given back. It counts as lost when the worker
    // leaves.
}

/// A task is completed by the holder of its token from now on. Must be called in the context of a tokio runtime.
fn handed_out(session: &Arc<Session>, key: TaskKey, left: HandedOut) {
    if session.attempts.writing(Key::Claimed(key)) {
        // A limit beyond all times is no limit.
        let ms = |limit: Duration| i64::try_from(limit.as_millis()).ok().filter(|ms| *ms < 1 << 50);
        let (end_in_ms, beat_in_ms) = (left.ends_in.and_then(ms), left.beats_in.and_then(ms));
        let details = left.details.map(|details| details.as_json().to_owned());
        let out = HandOut { key, end_in_ms, beat_in_ms, details };
        tokio::spawn(hand_out(Arc::clone(session), out));
    }
}

/// Notes in the row that no worker has the attempt any more, and retries until that is written, or was decided
/// otherwise. Until then the attempt is this worker's, and is lost with it.
async fn hand_out(session: Arc<Session>, out: HandOut) {
    let mut wait = Duration::from_millis(10);
    while !session.is_over() {
        match session.store().hand_out(session.me, out.clone()).await {
            Ok(_) => return session.attempts.settle(Key::Claimed(out.key), out.key.attempt),
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_AT_MOST);
            }
        }
    }
}

/// The outcome if the store or the codec refuses a value. A retry would give the same, so it is not
/// retryable.
pub(super) fn refused(code: Code, name: &str, error: &dyn std::fmt::Display) -> AttemptOutcome {
    let message = format!("{code}: {name}: {error}");
    tracing::warn!(code = code.as_str(), "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: false, retry_after: None, details: None }
}
