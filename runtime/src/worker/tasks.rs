//! Tasks: attempts that this worker runs for executions which it need not own (PROTOCOL 22).
//!
//! A claim reserves free slots first and takes no more tasks than that. Tasks that this worker cannot begin
//! are left to other workers. An attempt's outcome deletes its row. If the row is gone without an outcome of
//! ours, the attempt is stopped and its outcome discarded. A storage error is never an outcome: the report is
//! retried for as long as the session lives.

use super::claims::until;
use super::session::{Session, lock};
use crate::activity::blocking::Slot;
use crate::activity::info::AttemptInfo;
use crate::activity::runner::{Attempt, Limits};
use crate::activity::transaction::Ended;
use crate::store::{AttemptBody, OwnedTask, StoreError, Task, TaskClaim, TaskKey};
use crate::wire::to_json;
use abide_core::exec::AttemptOutcome;
use abide_core::{ActivityOptions, FailureKind, FailureRecord, Payload};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most tasks that one claim takes.
const CLAIM_LIMIT: usize = 100;
/// The longest wait before a report is retried.
const RETRY_AT_MOST: Duration = Duration::from_secs(2);

/// The activity options that the worker which runs the task needs. Stored: fields are added, never changed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TaskLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_to_close_ms: Option<u64>,
}

impl TaskLimits {
    pub(super) fn of(options: &ActivityOptions) -> Self {
        // A limit that does not fit in 64 bits of milliseconds is no limit.
        let ms = |limit: Duration| u64::try_from(limit.as_millis()).ok();
        Self { start_to_close_ms: options.start_to_close.and_then(ms) }
    }
}

/// One claimed attempt.
struct Entry {
    token: CancellationToken,
    /// Its outcome is being written to the store.
    ended: bool,
}

/// The claimed attempts of a session.
#[derive(Default)]
pub(super) struct Tasks {
    table: Mutex<BTreeMap<TaskKey, Entry>>,
    /// A claim holds this until its tasks are in the table. So code that holds it sees in the table all tasks
    /// that the database assigns to this worker, unless the answer to a claim was lost.
    claiming: tokio::sync::Mutex<()>,
    /// The answer to a claim was lost: the claim may have taken tasks that are not in the table.
    doubtful: AtomicBool,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        lock(&self.table).len()
    }

    /// Whether an outcome is still to be written.
    pub(super) fn unwritten(&self) -> bool {
        lock(&self.table).values().any(|entry| entry.ended)
    }

    fn keys(&self) -> Vec<TaskKey> {
        lock(&self.table).keys().copied().collect()
    }

    fn insert(&self, key: TaskKey) -> CancellationToken {
        let token = CancellationToken::new();
        lock(&self.table).insert(key, Entry { token: token.clone(), ended: false });
        token
    }

    /// Stops and removes the tasks of `known` that this worker no longer owns, and asks cancelled tasks to
    /// stop.
    fn compare(&self, known: &[TaskKey], owned: &[OwnedTask]) {
        let ours: HashMap<TaskKey, bool> = owned.iter().map(|task| (task.key, task.cancel)).collect();
        let mut table = lock(&self.table);
        for key in known {
            match ours.get(key) {
                Some(false) => {}
                Some(true) => table.get(key).iter().for_each(|entry| entry.token.cancel()),
                None => table.remove(key).iter().for_each(|entry| entry.token.cancel()),
            }
        }
    }

    /// The attempt has ended. False if it is not in the table any more: its outcome is discarded.
    fn ended(&self, key: TaskKey) -> bool {
        lock(&self.table).get_mut(&key).map(|entry| entry.ended = true).is_some()
    }

    /// Removes the tasks that never began, once none can begin any more.
    fn take_unbegun(&self) -> Vec<TaskKey> {
        let mut table = lock(&self.table);
        let keys: Vec<TaskKey> = table.iter().filter(|(_, e)| !e.ended).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| drop(table.remove(key)));
        keys
    }
}

/// Claims tasks of the worker's own queue for its activities, until the runner starts no more.
pub(super) async fn claim_loop(session: Arc<Session>) {
    let names = session.registry.activity_names();
    if names.is_empty() {
        return;
    }
    let has_workflows = !session.registry.workflow_names().is_empty();
    let mut changes = session.store().changes();
    loop {
        let slots = session.runner.reserve(CLAIM_LIMIT, has_workflows).await;
        if slots.is_empty() {
            return;
        }
        let wait = claim(&session, &names, slots).await;
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Claims once. Returns how long to wait before the next claim.
async fn claim(session: &Arc<Session>, names: &[String], slots: Vec<Slot>) -> Duration {
    let _claiming = session.tasks.claiming.lock().await;
    if session.draining.load(Ordering::Acquire) {
        return session.pace().poll;
    }
    let (queues, limit) = (vec![session.queue.clone()], slots.len());
    let wanted = TaskClaim {
        owner: session.me,
        queues,
        names: names.to_vec(),
        limit: u32::try_from(limit).unwrap_or(1),
    };
    let asked_ms = session.store().now_ms();
    match session.store().claim_tasks(wanted).await {
        Ok(claimed) => {
            let full = claimed.tasks.len() >= limit;
            claimed.tasks.into_iter().zip(slots).for_each(|(task, slot)| run(session, task, slot));
            if full { Duration::ZERO } else { until(session, claimed.next_due_ms, asked_ms) }
        }
        Err(error) => {
            session.tasks.doubtful.store(true, Ordering::Release);
            session.failed(&error);
            session.pace().poll
        }
    }
}

fn run(session: &Arc<Session>, task: Task, slot: Slot) {
    let key = task.key;
    let Some(entry) = session.registry.activity_entry(&task.name) else {
        // This worker did not ask for it. `watch_loop` gives it back.
        return session.tasks.doubtful.store(true, Ordering::Release);
    };
    let token = session.tasks.insert(key);
    let input = match Payload::from_json(task.input) {
        Ok(input) => input,
        Err(error) => return ended(session, key, refused("AB0604", &task.name, &error)),
    };
    let limits: TaskLimits = serde_json::from_str(&task.limits).unwrap_or_default();
    let now_ms = session.store().now_ms();
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0));
    let limits =
        Limits::claimed(limits.start_to_close_ms.map(Duration::from_millis), task.close_by_ms.map(left));
    let info = AttemptInfo {
        workflow_id: task.workflow_id.into(),
        run_id: task.run_id.into(),
        workflow_type: task.workflow_type.into(),
        activity: key.activity,
        attempt: key.attempt,
    };
    let weak = Arc::downgrade(session);
    let report = Box::new(move |end| {
        // Without a transaction the runner always reports an outcome.
        if let (Some(session), Ended::Told(outcome)) = (weak.upgrade(), end) {
            ended(&session, key, outcome);
        }
    });
    let entry = Arc::clone(entry);
    let attempt = Attempt { entry, info, input, limits, transactions: None, report };
    session.runner.run_in(slot, attempt, token);
}

/// Handles the end of an attempt. Must be called in the context of a tokio runtime.
fn ended(session: &Arc<Session>, key: TaskKey, outcome: AttemptOutcome) {
    if session.tasks.ended(key) {
        tokio::spawn(finish(Arc::clone(session), key, outcome));
    }
}

/// Reports the outcome, and retries until it is written. If the store refuses the outcome's content, a
/// failure that says so is reported instead.
async fn finish(session: Arc<Session>, key: TaskKey, outcome: AttemptOutcome) {
    let TaskKey { activity, attempt, .. } = key;
    let body = |outcome| to_json(&AttemptBody { activity, attempt, outcome, kept: false });
    let (mut body_now, mut wait) = (body(outcome), Duration::from_millis(10));
    while !session.is_over() {
        match session.store().finish_task(session.me, key, body_now.clone()).await {
            Ok(_) => {
                lock(&session.tasks.table).remove(&key);
                return;
            }
            Err(StoreError::BadRow { message }) => body_now = body(refused("AB0603", "its", &message)),
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_AT_MOST);
            }
        }
    }
    // It stays in the table: it has begun, and is not to be given back. It counts as lost when the worker leaves.
}

/// The outcome if the store or the codec refuses a value. A retry would give the same, so it is not
/// retryable.
fn refused(code: &str, name: &str, error: &dyn std::fmt::Display) -> AttemptOutcome {
    let message = format!("{code}: {name}: {error}");
    tracing::warn!(code, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: false, retry_after: None }
}

/// Stops tasks that this worker no longer owns or that are cancelled, and gives back tasks of a claim whose
/// answer was lost. It looks for such tasks when an answer was lost, and once per lease time: a claim that
/// was cut off may still be in progress at the first look.
pub(super) async fn watch_loop(session: Arc<Session>) {
    let (mut changes, mut compared) = (session.store().changes(), Instant::now());
    while !session.is_over() {
        if compared.elapsed() >= session.pace().lease {
            compared = Instant::now();
            session.tasks.doubtful.store(true, Ordering::Release);
        }
        if let Err(error) = watch(&session).await {
            session.failed(&error);
        }
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = tokio::time::sleep(session.pace().poll) => {}
        }
    }
}

async fn watch(session: &Session) -> Result<(), StoreError> {
    // Read memory first: what is in the table was claimed before that, so the database has it.
    let known = session.tasks.keys();
    if !known.is_empty() {
        let owned = session.store().owned_tasks(session.me).await?;
        session.tasks.compare(&known, &owned);
    }
    if session.tasks.doubtful.load(Ordering::Acquire) {
        let _claiming = session.tasks.claiming.lock().await;
        let owned = session.store().owned_tasks(session.me).await?;
        let lost = never_known(&owned, &known, &session.tasks.keys());
        session.store().release_tasks(session.me, lost).await?;
        session.tasks.doubtful.store(false, Ordering::Release);
    }
    Ok(())
}

/// The tasks of claims whose answers were lost: those that the table had neither before nor after the database was
/// asked. An attempt that ended meanwhile has left the table, and it has begun.
fn never_known(owned: &[OwnedTask], before: &[TaskKey], after: &[TaskKey]) -> Vec<TaskKey> {
    let known: HashSet<&TaskKey> = before.iter().chain(after).collect();
    owned.iter().map(|task| task.key).filter(|key| !known.contains(key)).collect()
}

/// Ends tasks that are past their deadline, for all workers. Each worker looks, because the worker that runs
/// an activity may be dead.
pub(super) async fn expire_loop(session: Arc<Session>) {
    while !session.is_over() {
        if let Err(error) = session.store().expire_tasks().await {
            session.failed(&error);
        }
        tokio::time::sleep(session.pace().poll).await;
    }
}

/// For a shutdown, after the runner has stopped: gives back tasks that were claimed and never began. They
/// lose no attempt.
pub(super) async fn give_back(session: &Session) {
    let _claiming = session.tasks.claiming.lock().await;
    let keys = session.tasks.take_unbegun();
    if !keys.is_empty()
        && let Err(error) = session.store().release_tasks(session.me, keys).await
    {
        session.failed(&error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::{EventId, ExecutionId};

    #[test]
    fn only_what_was_never_in_the_table_is_given_back() {
        let key = |activity| TaskKey {
            execution: ExecutionId(1),
            activity: EventId(activity),
            attempt: 1,
            nonce: 7,
        };
        let owned = [1, 2, 3].map(|activity| OwnedTask { key: key(activity), cancel: false });
        // The second ended while the database was asked, and the third's claim was never answered.
        assert_eq!(never_known(&owned, &[key(1), key(2)], &[key(1)]), [key(3)]);
    }
}
