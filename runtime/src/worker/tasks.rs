//! Tasks: attempts that this worker runs for executions which it need not own (PROTOCOL 22).
//!
//! A claim takes no more than there are free slots, which it holds beforehand, so that what it cannot begin is left to other workers.
//! An attempt's outcome deletes its row; a row that is gone without that is nobody's attempt any more, and is stopped.
//! A storage error is never an outcome: the report is tried again for as long as the session lives.

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

/// The most that one claim takes.
const CLAIM_LIMIT: usize = 100;
/// The longest wait before a report is tried again.
const RETRY_AT_MOST: Duration = Duration::from_secs(2);

/// What a task's runner must know of its activity's options. Stored; fields are added, never changed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TaskLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_to_close_ms: Option<u64>,
}

impl TaskLimits {
    pub(super) fn of(options: &ActivityOptions) -> Self {
        // A limit beyond the end of time is none.
        let ms = |limit: Duration| u64::try_from(limit.as_millis()).ok();
        Self { start_to_close_ms: options.start_to_close.and_then(ms) }
    }
}

/// One claimed attempt.
struct Entry {
    token: CancellationToken,
    /// Its outcome is on its way to the store.
    ended: bool,
}

/// The claimed attempts of a session.
#[derive(Default)]
pub(super) struct Tasks {
    table: Mutex<BTreeMap<TaskKey, Entry>>,
    /// Held while a claim is on its way into the table: then the table has all that the database says is ours.
    claiming: tokio::sync::Mutex<()>,
    /// The answer to a claim was lost: it may have taken something that is not in the table.
    doubtful: AtomicBool,
}

impl Tasks {
    pub(super) fn len(&self) -> usize {
        lock(&self.table).len()
    }

    /// Whether an outcome waits to be written.
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

    /// Stops those of `known` that are not ours any more, and asks those to stop that are cancelled.
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

    /// The attempt has ended; false where it is nobody's any more.
    fn ended(&self, key: TaskKey) -> bool {
        lock(&self.table).get_mut(&key).map(|entry| entry.ended = true).is_some()
    }

    /// Takes out what was never begun, once nothing begins any more.
    fn take_unbegun(&self) -> Vec<TaskKey> {
        let mut table = lock(&self.table);
        let keys: Vec<TaskKey> = table.iter().filter(|(_, e)| !e.ended).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| drop(table.remove(key)));
        keys
    }
}

/// Claims tasks of the worker's own queue, for the activities that it has, until nothing may start any more.
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

/// How long to wait before the next claim.
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
        // Not asked for: it is given back.
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
        // Without a transaction there is always an outcome to be told.
        if let (Some(session), Ended::Told(outcome)) = (weak.upgrade(), end) {
            ended(&session, key, outcome);
        }
    });
    let entry = Arc::clone(entry);
    let attempt = Attempt { entry, info, input, limits, transactions: None, report };
    session.runner.run_in(slot, attempt, token);
}

/// An attempt has ended. Needs a tokio runtime's context.
fn ended(session: &Arc<Session>, key: TaskKey, outcome: AttemptOutcome) {
    if session.tasks.ended(key) {
        tokio::spawn(finish(Arc::clone(session), key, outcome));
    }
}

/// Reports the outcome, as often as it takes. One that the store refuses for what is in it is a failure of its own.
async fn finish(session: Arc<Session>, key: TaskKey, outcome: AttemptOutcome) {
    let TaskKey { activity, attempt, .. } = key;
    let body = |outcome| to_json(&AttemptBody { activity, attempt, outcome, kept: false });
    let (mut body_now, mut wait) = (body(outcome), Duration::from_millis(10));
    while !session.is_over() {
        match session.store().finish_task(session.me, key, body_now.clone()).await {
            Ok(_) => break,
            Err(StoreError::BadRow { message }) => body_now = body(refused("AB0603", "its", &message)),
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_AT_MOST);
            }
        }
    }
    lock(&session.tasks.table).remove(&key);
}

/// What the store or the codec cannot take: trying again gives the same.
fn refused(code: &str, name: &str, error: &dyn std::fmt::Display) -> AttemptOutcome {
    let message = format!("{code}: {name}: {error}");
    tracing::warn!(code, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: false, retry_after: None }
}

/// Stops what is nobody's any more or is cancelled, and gives back what a claim took whose answer was lost. Looked for after the
/// doubt, and once a lease: a claim that broke off may still be on its way when it is looked for at once.
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
    // Memory first: what is in it was claimed by then, so that the database has it.
    let known = session.tasks.keys();
    if !known.is_empty() {
        let owned = session.store().owned_tasks(session.me).await?;
        session.tasks.compare(&known, &owned);
    }
    if session.tasks.doubtful.load(Ordering::Acquire) {
        let _claiming = session.tasks.claiming.lock().await;
        let owned = session.store().owned_tasks(session.me).await?;
        let known: HashSet<TaskKey> = session.tasks.keys().into_iter().collect();
        let lost = owned.into_iter().map(|task| task.key).filter(|key| !known.contains(key)).collect();
        session.store().release_tasks(session.me, lost).await?;
        session.tasks.doubtful.store(false, Ordering::Release);
    }
    Ok(())
}

/// Ends what is late, whoever has it. Each worker looks: the one that runs an activity may be the one that is gone.
pub(super) async fn expire_loop(session: Arc<Session>) {
    while !session.is_over() {
        if let Err(error) = session.store().expire_tasks().await {
            session.failed(&error);
        }
        tokio::time::sleep(session.pace().poll).await;
    }
}

/// A shutdown, after the runner has stopped: what was claimed and never begun loses nothing.
pub(super) async fn give_back(session: &Session) {
    let _claiming = session.tasks.claiming.lock().await;
    let keys = session.tasks.take_unbegun();
    if !keys.is_empty()
        && let Err(error) = session.store().release_tasks(session.me, keys).await
    {
        session.failed(&error);
    }
}
