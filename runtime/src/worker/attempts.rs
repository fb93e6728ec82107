//! The attempts that run for this session's executions. They are kept apart from the live state, which may be
//! evicted, moved to another thread or suspended while its activities run on.
//!
//! An outcome stays here until the append that holds it is durable, so that a thread that loads the execution
//! finds it.

use super::handle::Message;
use super::session::{Session, lock};
use crate::activity::info::AttemptInfo;
use crate::activity::runner::{Attempt, Limits};
use crate::activity::transaction::{Ended, Transactions};
use crate::store::{AttemptBody, MessageKind, NewMessage, TaskKey};
use crate::wire::to_json;
use abide_core::exec::{ActivityStart, AttemptOutcome};
use abide_core::{CancellationType, EventId, ExecutionId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The names of an execution, which its attempts carry.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) workflow_id: Arc<str>,
    pub(super) run_id: Arc<str>,
    pub(super) workflow_type: Arc<str>,
}

/// One attempt that this worker started.
struct Entry {
    attempt: u32,
    token: CancellationToken,
    /// The workflow may give the activity up, and may end, while the attempt runs on.
    abandonable: bool,
    outcome: Option<AttemptOutcome>,
}

/// See the module documentation.
#[derive(Default)]
pub(super) struct Attempts(Mutex<BTreeMap<(ExecutionId, EventId), Entry>>);

/// The range of all keys of an execution.
fn all_of(execution: ExecutionId) -> RangeInclusive<(ExecutionId, EventId)> {
    (execution, EventId(0))..=(execution, EventId(u64::MAX))
}

impl Attempts {
    /// The activities of `execution` with an attempt here: running, or ended with an outcome that is not yet
    /// written.
    pub(super) fn of(&self, execution: ExecutionId) -> Vec<EventId> {
        lock(&self.0).range(all_of(execution)).map(|((_, activity), _)| *activity).collect()
    }

    /// The outcomes that arrived while the execution could not take them.
    pub(super) fn outcomes(&self, execution: ExecutionId) -> Vec<(EventId, u32, AttemptOutcome)> {
        let table = lock(&self.0);
        let mine = table.range(all_of(execution)).filter(|_| !mutant!(DropOutcome));
        mine.filter_map(|((_, activity), e)| Some((*activity, e.attempt, e.outcome.clone()?))).collect()
    }

    /// Forgets the attempt: its outcome is written, or is no longer needed.
    pub(super) fn settle(&self, execution: ExecutionId, activity: EventId, attempt: u32) {
        let mut table = lock(&self.0);
        if table.get(&(execution, activity)).is_some_and(|entry| entry.attempt == attempt) {
            table.remove(&(execution, activity));
        }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Whether an outcome is still to be written.
    pub(super) fn unwritten(&self) -> bool {
        lock(&self.0).values().any(|entry| entry.outcome.is_some())
    }

    pub(super) fn cancel(&self, execution: ExecutionId, activity: EventId) {
        if let Some(entry) = lock(&self.0).get(&(execution, activity)) {
            entry.token.cancel();
        }
    }

    /// The execution was terminated: its attempts are asked to stop, and their outcomes are discarded.
    pub(super) fn drop_all(&self, execution: ExecutionId) {
        self.remove_all(execution).for_each(|entry| entry.token.cancel());
    }

    /// The execution has closed, or continues elsewhere without these attempts. They are forgotten. Those
    /// that may not be abandoned are asked to stop.
    pub(super) fn leave(&self, execution: ExecutionId) {
        let stopped = self.remove_all(execution).filter(|entry| !entry.abandonable);
        stopped.for_each(|entry| entry.token.cancel());
    }

    fn remove_all(&self, execution: ExecutionId) -> impl Iterator<Item = Entry> {
        let mut table = lock(&self.0);
        let mine: Vec<_> = table.range(all_of(execution)).map(|(key, _)| *key).collect();
        let removed: Vec<Entry> = mine.iter().filter_map(|key| table.remove(key)).collect();
        removed.into_iter()
    }

    /// The execution was read again, and waits for the attempts in `wanted`. The other attempts are asked to
    /// stop, unless they may be abandoned: a turn whose outcome was unknown for a while gave them up.
    pub(super) fn stop_others(&self, execution: ExecutionId, wanted: &[ActivityStart]) {
        let is_wanted = |activity: EventId, attempt: u32| {
            wanted.iter().any(|start| (start.activity, start.attempt) == (activity, attempt))
        };
        for ((_, activity), entry) in lock(&self.0).range(all_of(execution)) {
            if !entry.abandonable && !is_wanted(*activity, entry.attempt) {
                entry.token.cancel();
            }
        }
    }

    /// The executions with attempts here.
    pub(super) fn executions(&self) -> BTreeSet<ExecutionId> {
        lock(&self.0).keys().map(|(execution, _)| *execution).collect()
    }

    fn has(&self, execution: ExecutionId, activity: EventId, attempt: u32) -> bool {
        lock(&self.0).get(&(execution, activity)).is_some_and(|entry| entry.attempt == attempt)
    }

    fn insert(&self, key: (ExecutionId, EventId), start: &ActivityStart) {
        let (attempt, token) = (start.attempt, CancellationToken::new());
        let abandonable = start.options.cancellation == CancellationType::Abandon;
        lock(&self.0).insert(key, Entry { attempt, token, abandonable, outcome: None });
    }

    /// Keeps the outcome. False if the attempt is not in the table any more: its outcome is discarded.
    fn ended(&self, key: (ExecutionId, EventId), attempt: u32, outcome: &AttemptOutcome) -> bool {
        match lock(&self.0).get_mut(&key).filter(|entry| entry.attempt == attempt) {
            Some(entry) => {
                entry.outcome = Some(outcome.clone());
                true
            }
            None => false,
        }
    }
}

/// Starts an attempt, unless it already runs here. Must be called in the context of a tokio runtime.
pub(super) fn start(session: &Arc<Session>, execution: ExecutionId, names: &Names, start: ActivityStart) {
    let key = (execution, start.activity);
    let Some(entry) = session.registry.activity_entry(start.name) else { return };
    if session.attempts.has(execution, start.activity, start.attempt) && !mutant!(StartAgain) {
        return;
    }
    let now_ms = session.store().now_ms();
    let since = |at_ms: i64| Duration::from_millis(u64::try_from(now_ms - at_ms).unwrap_or(0));
    let due_ms = start.not_before_ms.unwrap_or(start.scheduled_at_ms);
    let limits = Limits::new(&start.options, since(start.scheduled_at_ms), since(due_ms));
    let info = AttemptInfo {
        workflow_id: Arc::clone(&names.workflow_id),
        run_id: Arc::clone(&names.run_id),
        workflow_type: Arc::clone(&names.workflow_type),
        activity: start.activity,
        attempt: start.attempt,
    };
    // Insert the entry before the attempt runs: an attempt that ends at once must find it. The token is set
    // afterwards.
    session.attempts.insert(key, &start);
    let (weak, attempt) = (Arc::downgrade(session), start.attempt);
    let report = Box::new(move |end| {
        if let Some(session) = weak.upgrade() {
            ended(&session, key, attempt, end);
        }
    });
    let transactions = start.options.transactional.then(|| Transactions {
        store: Arc::clone(session.store()),
        owner: session.me,
        key: TaskKey { execution, activity: start.activity, attempt, nonce: 0 },
    });
    let (entry, input) = (Arc::clone(entry), start.input);
    let token = session.runner.run(Attempt { entry, info, input, limits, transactions, report });
    if let Some(entry) = lock(&session.attempts.0).get_mut(&key).filter(|entry| entry.attempt == attempt) {
        entry.token = token;
    }
}

/// Handles the end of an attempt.
fn ended(session: &Arc<Session>, key: (ExecutionId, EventId), attempt: u32, end: Ended) {
    let (execution, activity) = key;
    match end {
        Ended::Told(outcome) => tell(session, key, attempt, outcome),
        Ended::Stored => {
            // The outcome becomes known when the thread takes the row in. Until then the attempt counts as
            // running here.
            if !session.owns(execution) {
                session.attempts.settle(execution, activity, attempt);
            }
            session.inbox_dirty.store(true, Ordering::Release);
            session.inbox_hint.notify_one();
        }
        Ended::Overtaken => session.attempts.settle(execution, activity, attempt),
        Ended::Broken(error) => session.failed(&error),
    }
}

/// Gives the outcome to the execution's thread, or writes it to the inbox if this session does not own the
/// execution.
fn tell(session: &Arc<Session>, key: (ExecutionId, EventId), attempt: u32, outcome: AttemptOutcome) {
    if !session.attempts.ended(key, attempt, &outcome) {
        return;
    }
    let (execution, activity) = key;
    if mutant!(DropCompletionAtShutdown) && session.draining.load(Ordering::Acquire) {
        return session.attempts.settle(execution, activity, attempt);
    }
    let message = Message::Attempt { execution, activity, attempt, outcome };
    if let Err(Message::Attempt { outcome, .. }) = session.send(execution, message) {
        not_taken(session, key, attempt, outcome);
    }
}

/// The execution is not here (any more), so its inbox keeps the outcome. Must be called in the context of a
/// tokio runtime.
pub(super) fn not_taken(
    session: &Arc<Session>,
    key: (ExecutionId, EventId),
    attempt: u32,
    outcome: AttemptOutcome,
) {
    let session = Arc::clone(session);
    tokio::spawn(async move { keep(&session, key, attempt, outcome).await });
}

/// The inbox row that keeps an outcome for an execution which cannot take it now, or not by this turn.
pub(super) fn message(
    execution: ExecutionId,
    (activity, attempt, outcome): (EventId, u32, AttemptOutcome),
    at_ms: i64,
) -> NewMessage {
    NewMessage {
        execution,
        kind: MessageKind::Attempt,
        request_id: format!("attempt/{activity}/{attempt}"),
        body: to_json(&AttemptBody { activity, attempt, outcome, kept: true }),
        at_ms,
    }
}

/// Writes the outcome into the inbox of an execution that this session does not own. Stops if the outcome is
/// taken in here in the meantime.
async fn keep(session: &Session, key: (ExecutionId, EventId), attempt: u32, outcome: AttemptOutcome) {
    let (execution, activity) = key;
    let message = message(execution, (activity, attempt, outcome), session.store().now_ms());
    let mut wait = Duration::from_millis(50);
    while session.attempts.has(execution, activity, attempt) && !session.is_over() {
        match session.store().send(message.clone()).await {
            Ok(_) => session.attempts.settle(execution, activity, attempt),
            Err(error) => {
                tracing::warn!(code = error.code(), %execution, "an outcome waits to be kept: {error}");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(2));
            }
        }
    }
    // This worker may have claimed the execution in between.
    session.claim_hint.notify_one();
    session.inbox_hint.notify_one();
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
