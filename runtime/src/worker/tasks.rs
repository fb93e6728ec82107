//! Tasks: attempts that this worker runs for executions which it need not own (PROTOCOL 22).
//!
//! A claim reserves free slots first and takes no more tasks than that. Tasks that this worker cannot begin
//! are left to other workers. An attempt's outcome deletes its row. If the row is gone without an outcome of
//! ours, the attempt is stopped and its outcome discarded. A storage error is never an outcome: the report is
//! retried for as long as the session lives.

use super::attempts::Key;
use super::beats;
use super::claims::until;
use super::outcomes;
use super::session::Session;
use super::task_rows::TaskLimits;
use crate::activity::blocking::Slot;
use crate::activity::heartbeat::Beats;
use crate::activity::info::AttemptInfo;
use crate::activity::publisher::Outlet;
use crate::activity::runner::{Attempt, Limits};
use crate::store::{OwnedTask, QueueTurn, StoreError, Task, TaskClaim, TaskKey};
use abide_core::{Code, Payload};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The most tasks that one claim takes.
const CLAIM_LIMIT: usize = 100;
/// When to claim again after another worker held a limit: 5 to 20 ms, another wait for each worker.
const SOON: Duration = Duration::from_millis(5);
const SOON_SPREAD_MS: u64 = 16;

/// Claims tasks of the worker's own queue for its activities, until the runner starts no more.
pub(super) async fn claim_loop(session: Arc<Session>) {
    let names = session.registry.activity_names();
    if names.is_empty() {
        return;
    }
    let gates = session.runner.gates();
    let (gated, names): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| gates.has(name));
    let has_workflows = !session.registry.workflow_names().is_empty();
    let mut changes = session.store().changes();
    let mut turn = QueueTurn::default();
    loop {
        let slots = session.runner.reserve(CLAIM_LIMIT, has_workflows).await;
        if slots.is_empty() {
            return;
        }
        let wait = claim_all(&session, &gated, &names, slots, &mut turn).await;
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = gates.freed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Claims for all activities: those with a gate first, each as far as its gate allows, and then the others. Returns how
/// long to wait before the next claim.
async fn claim_all(
    session: &Arc<Session>,
    gated: &[String],
    names: &[String],
    mut slots: Vec<Slot>,
    turn: &mut QueueTurn,
) -> Duration {
    let _claiming = session.attempts.claiming.lock().await;
    if session.draining.load(Ordering::Acquire) {
        return session.pace().poll;
    }
    let (gates, mut wait) = (session.runner.gates(), session.pace().poll);
    for name in gated {
        let mut reserved = gates.reserve(name, slots.len());
        wait = reserved.wait.map_or(wait, |until| until.min(wait));
        let limit = reserved.passes.len();
        if limit > 0 {
            let asked = claim(session, std::slice::from_ref(name), limit, turn).await;
            wait = asked.wait.min(wait);
            for task in asked.tasks {
                let slot = slots.pop().map(|slot| slot.with(reserved.passes.pop()));
                slot.into_iter().for_each(|slot| run(session, task.clone(), slot));
            }
        }
        gates.give_back(name, reserved.passes);
    }
    if !names.is_empty() && !slots.is_empty() {
        let asked = claim(session, names, slots.len(), turn).await;
        wait = asked.wait.min(wait);
        asked.tasks.into_iter().zip(slots).for_each(|(task, slot)| run(session, task, slot));
    }
    wait
}

/// What a claim got, and how long to wait before the next one.
struct Asked {
    tasks: Vec<Task>,
    wait: Duration,
}

/// Claims once.
async fn claim(session: &Arc<Session>, names: &[String], limit: usize, turn: &mut QueueTurn) -> Asked {
    let wanted = TaskClaim {
        owner: session.me,
        queues: vec![session.queue.clone()],
        names: names.to_vec(),
        limit: u32::try_from(limit).unwrap_or(1),
        turn: turn.clone(),
    };
    let asked_ms = session.store().now_ms();
    match session.store().claim_tasks(wanted).await {
        Ok(claimed) => {
            *turn = claimed.turn;
            let wait = match (claimed.tasks.len() >= limit, claimed.soon) {
                (true, _) => Duration::ZERO,
                (false, true) => SOON + Duration::from_millis(session.me.0.unsigned_abs() % SOON_SPREAD_MS),
                (false, false) => until(session, claimed.next_due_ms, asked_ms),
            };
            Asked { tasks: claimed.tasks, wait }
        }
        Err(error) => {
            session.attempts.doubtful.store(true, Ordering::Release);
            session.failed(&error);
            Asked { tasks: Vec::new(), wait: session.pace().poll }
        }
    }
}

fn run(session: &Arc<Session>, task: Task, slot: Slot) {
    let key = task.key;
    let Some(entry) = session.registry.activity_entry(&task.name) else {
        // This worker did not ask for it. `watch_loop` gives it back.
        return session.attempts.doubtful.store(true, Ordering::Release);
    };
    let input = match Payload::from_json(task.input) {
        Ok(input) => input,
        Err(error) => {
            session.attempts.enter(Key::Claimed(key), key.attempt, false, &Beats::unheard());
            return outcomes::task_ended(
                session,
                key,
                outcomes::refused(Code::ActivityInput, &task.name, &error),
            );
        }
    };
    let limits: TaskLimits = serde_json::from_str(&task.limits).unwrap_or_default();
    let now_ms = session.store().now_ms();
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms - now_ms).unwrap_or(0));
    let beats = beats::of_task(session, limits.heartbeat_ms, task.details);
    let limits =
        Limits::claimed(limits.start_to_close_ms.map(Duration::from_millis), task.close_by_ms.map(left));
    let info = AttemptInfo {
        workflow_id: task.workflow_id.into(),
        run_id: task.run_id.into(),
        workflow_type: task.workflow_type.into(),
        activity: key.activity,
        attempt: key.attempt,
    };
    let report = outcomes::report(session, Key::Claimed(key), key.attempt);
    let (store, owner) = (Arc::clone(session.store()), session.me);
    let outlet = Some(Outlet { store, owner, execution: key.execution });
    let entry = Arc::clone(entry);
    let task = Some(key);
    let attempt = Attempt { entry, info, input, limits, transactions: None, beats, outlet, task, report };
    session.attempts.launch(&session.runner, (Key::Claimed(key), false), attempt, Some(slot));
}

/// Stops tasks that this worker no longer owns or that are cancelled, and gives back tasks of a claim whose
/// answer was lost. It looks for such tasks when an answer was lost, and once per lease time: a claim that
/// was cut off may still be in progress at the first look.
pub(super) async fn watch_loop(session: Arc<Session>) {
    let (mut changes, mut compared) = (session.store().changes(), Instant::now());
    while !session.is_over() {
        if compared.elapsed() >= session.pace().lease {
            compared = Instant::now();
            session.attempts.doubtful.store(true, Ordering::Release);
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
    let known = session.attempts.tasks();
    if !known.is_empty() {
        let owned = session.store().owned_tasks(session.me).await?;
        session.attempts.compare(&known, &owned);
    }
    if session.attempts.doubtful.load(Ordering::Acquire) {
        let _claiming = session.attempts.claiming.lock().await;
        let owned = session.store().owned_tasks(session.me).await?;
        let lost = never_known(&owned, &known, &session.attempts.tasks());
        session.store().release_tasks(session.me, lost).await?;
        session.attempts.doubtful.store(false, Ordering::Release);
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
    let _claiming = session.attempts.claiming.lock().await;
    let keys = session.attempts.take_unbegun();
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
