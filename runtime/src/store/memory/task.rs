//! Tasks: attempts that run in another process, and the rows that arbitrate them (PROTOCOL 22). The
//! statements of `postgres/task.rs`.

use super::claim::holds_lease;
use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::write::{TaskRow, Write};
use crate::store::decide::{Concerned, Notify, Receiver, attempt_request_id, outcome_body, outcome_json};
use crate::store::task::timed_out;
use crate::store::{
    Beat, BeatRow, Beaten, ClaimedTasks, MessageKind, NewTask, OwnedTask, StoreError, StoreFuture, Task,
    TaskClaim, TaskKey, Tasks,
};
use abide_core::exec::AttemptOutcome;
use abide_core::{EventId, ExecutionId, Incarnation, TimeoutKind};
use std::collections::BTreeMap;

/// Puts an attempt's outcome into its execution's inbox.
pub(super) fn tell_outcome(
    st: &mut Statement<'_>,
    row: &TaskRow,
    outcome: &AttemptOutcome,
    at_ms: i64,
) -> Looked<bool> {
    let (activity, attempt) = (row.task.activity, row.task.attempt);
    let body = outcome_body(activity, attempt, &outcome_json(outcome), row.task.details.as_deref());
    st.put(row.execution, MessageKind::Attempt, &attempt_request_id(activity, attempt), body, at_ms)
}

impl TaskRow {
    pub(super) fn key(&self) -> TaskKey {
        TaskKey {
            execution: self.execution,
            activity: self.task.activity,
            attempt: self.task.attempt,
            nonce: self.nonce,
        }
    }

    /// Its last heartbeat.
    pub(super) fn last_beat(&self) -> Option<BeatRow> {
        let NewTask { activity, details, .. } = &self.task;
        Some(BeatRow { activity: *activity, details: details.clone()?, at_ms: self.beat_at_ms })
    }

    /// The key of its row.
    fn row(&self) -> Key {
        Key::Task(self.execution, self.task.activity)
    }

    /// No worker runs it, and others may.
    pub(super) fn is_free(&self) -> bool {
        self.owner.is_none() && !self.handed && self.task.queue.is_some()
    }
}

/// Deletes a task.
pub(super) fn delete(st: &mut Statement<'_>, row: &TaskRow) -> Looked<()> {
    st.lock(row.row(), Mode::Update)?;
    st.write(Write::TaskGone(row.execution, row.task.activity));
    Ok(())
}

/// The oldest due first.
fn take(st: &mut Statement<'_>, claim: &TaskClaim, queue: &str, room: usize) -> Looked<Vec<Task>> {
    let (tables, now) = (st.tables, st.now_ms);
    let in_time = |until: Option<i64>| until.is_none_or(|until| until > now);
    let is_due = |row: &&TaskRow| {
        row.is_free()
            && !row.cancel
            && row.task.queue.as_deref() == Some(queue)
            && row.task.run_at_ms <= now
            && claim.names.contains(&row.task.name)
            && in_time(row.task.start_by_ms)
            && in_time(row.task.close_by_ms)
    };
    let mut due: Vec<&TaskRow> = tables.tasks.values().filter(is_due).collect();
    due.sort_by_key(|row| row.task.run_at_ms);
    let chosen: Vec<_> =
        due.into_iter().filter(|row| st.try_lock(row.row(), Mode::Update)).take(room).collect();
    if chosen.is_empty() || !st.try_fence(claim.owner) {
        return Ok(Vec::new());
    }
    let chosen: Vec<TaskRow> = chosen
        .into_iter()
        .map(|row| TaskRow { owner: Some(claim.owner), nonce: st.new_nonce(), ..row.clone() })
        .collect();
    for row in &chosen {
        st.write(Write::Task(Box::new(row.clone())));
    }
    let task = |row: &TaskRow| {
        let of = &tables.executions.get(&row.execution)?.row;
        Some(Task {
            key: row.key(),
            name: row.task.name.clone(),
            input: row.task.input.clone(),
            limits: row.task.limits.clone(),
            run_at_ms: row.task.run_at_ms,
            close_by_ms: row.task.close_by_ms,
            workflow_id: of.workflow_id.clone(),
            run_id: of.run_id.clone(),
            workflow_type: of.workflow_type.clone(),
            details: row.task.details.clone(),
        })
    };
    Ok(chosen.iter().filter_map(task).collect())
}

fn next_task(st: &Statement<'_>, claim: &TaskClaim, queue: &str) -> Option<i64> {
    let free = st.tables.tasks.values().filter(|row| row.is_free());
    let mine =
        free.filter(|row| row.task.queue.as_deref() == Some(queue) && claim.names.contains(&row.task.name));
    mine.map(|row| row.task.run_at_ms).min()
}

pub(super) async fn claim_tasks(session: &mut Session, claim: &TaskClaim) -> Result<ClaimedTasks, Failure> {
    let (mut tasks, mut next_due_ms) = (Vec::new(), None);
    for queue in &claim.queues {
        let room = (claim.limit as usize).saturating_sub(tasks.len());
        tasks.extend(session.run(|st| take(st, claim, queue, room)).await?);
        match session.run(|st| Ok(next_task(st, claim, queue))).await {
            Ok(next) => next_due_ms = next.into_iter().chain(next_due_ms).min(),
            // These tasks are claimed already: return them despite the error.
            Err(failure) if tasks.is_empty() || matches!(failure, Failure::Gone) => return Err(failure),
            Err(_) => break,
        }
    }
    if tasks.is_empty() && !holds_lease(session, claim.owner).await? {
        return Err(Failure::Refused(StoreError::Fenced));
    }
    Ok(ClaimedTasks { tasks, next_due_ms })
}

/// Ends an attempt: whom its outcome concerns, or `None` where it was decided otherwise. The execution first,
/// then the token, as a close does.
pub(super) fn finish(st: &mut Statement<'_>, owner: Incarnation, key: TaskKey, body: &str) -> Looked<Ended> {
    if !st.fence(owner)? {
        return Ok(Ended::Fenced);
    }
    let Some(receiver) = st.receiver(key.execution)? else { return Ok(Ended::Otherwise) };
    let token = st.tables.tasks.get(&(key.execution, key.activity));
    let Some(token) = token.filter(|row| row.key() == key && row.owner == Some(owner)) else {
        return Ok(Ended::Otherwise);
    };
    delete(st, token)?;
    let (id, now) = (attempt_request_id(key.activity, key.attempt), st.now_ms);
    st.put(key.execution, MessageKind::Attempt, &id, body.to_owned(), now)?;
    Ok(Ended::By(Receiver { owner: receiver.row.owner, queue: receiver.row.queue.clone() }))
}

/// How an attempt ended.
pub(super) enum Ended {
    By(Receiver),
    Otherwise,
    Fenced,
}

/// Gives claimed tasks back; what its workflow has asked to stop ends now. Whom it concerns: who may claim a
/// task, and the owner of an execution that has an outcome now.
fn release(st: &mut Statement<'_>, owner: Incarnation, keys: &[TaskKey]) -> Looked<Concerned> {
    let (tables, now) = (st.tables, st.now_ms);
    let mut concerned = Concerned::default();
    for key in keys {
        let row = tables.tasks.get(&(key.execution, key.activity));
        let Some(row) = row.filter(|row| row.key() == *key && row.owner == Some(owner)) else { continue };
        st.lock(row.row(), Mode::Update)?;
        if !row.cancel {
            st.write(Write::Task(Box::new(TaskRow { owner: None, ..row.clone() })));
            concerned.add(None, row.task.queue.clone());
            continue;
        }
        delete(st, row)?;
        if let Some(receiver) = st.receiver(row.execution)? {
            tell_outcome(st, row, &AttemptOutcome::Cancelled, now)?;
            concerned.add(receiver.row.owner, Some(receiver.row.queue.clone()));
        }
    }
    Ok(concerned)
}

/// Ends tasks that no worker began in time, that did not end in time, and that were given back at the moment in which
/// it was asked to stop.
pub(super) fn expire(st: &mut Statement<'_>) -> Looked<(u64, Concerned)> {
    let (tables, now) = (st.tables, st.now_ms);
    let is_over = |until: Option<i64>| until.is_some_and(|until| until <= now);
    let mut late: BTreeMap<(ExecutionId, EventId), AttemptOutcome> = BTreeMap::new();
    let mut add =
        |outcome: AttemptOutcome, which: &dyn Fn(&TaskRow) -> bool, by: fn(&TaskRow) -> Option<i64>| {
            let mut rows: Vec<_> = tables.tasks.iter().filter(|(_, row)| which(row)).collect();
            rows.sort_by_key(|(_, row)| by(row));
            for (key, _) in rows.into_iter().take(100) {
                late.entry(*key).or_insert_with(|| outcome.clone());
            }
        };
    let unbegun = |row: &TaskRow| row.is_free() && is_over(row.task.start_by_ms);
    add(timed_out(TimeoutKind::ScheduleToStart), &unbegun, |row| row.task.start_by_ms);
    let unended = |row: &TaskRow| row.task.queue.is_some() && is_over(row.task.close_by_ms) && !unbegun(row);
    add(timed_out(TimeoutKind::ScheduleToClose), &unended, |row| row.task.close_by_ms);
    add(AttemptOutcome::Cancelled, &|row| row.is_free() && row.cancel, |_| None);
    add(timed_out(TimeoutKind::Heartbeat), &|row| row.handed && is_over(row.beat_by_ms), |row| {
        row.beat_by_ms
    });
    add(timed_out(TimeoutKind::StartToClose), &|row| row.handed && is_over(row.end_by_ms), |row| {
        row.end_by_ms
    });
    let (mut gone, mut concerned) = (0, Concerned::default());
    for (key, outcome) in late {
        let Some(row) = tables.tasks.get(&key) else { continue };
        let Some(receiver) = st.receiver(row.execution)? else { continue };
        // What another session has is left to it.
        if !st.try_lock(row.row(), Mode::Update) {
            continue;
        }
        delete(st, row)?;
        tell_outcome(st, row, &outcome, now)?;
        gone += 1;
        concerned.add(receiver.row.owner, Some(receiver.row.queue.clone()));
        concerned.add(row.owner, None);
    }
    Ok((gone, concerned))
}

/// The row of a heartbeat, as the statement sees it.
fn beaten<'a>(st: &Statement<'a>, owner: Incarnation, key: TaskKey) -> Option<&'a TaskRow> {
    let row = st.tables.tasks.get(&(key.execution, key.activity))?;
    let own = row.task.queue.is_none() && key.nonce == 0;
    let mine = own || row.owner == Some(owner) && row.nonce == key.nonce;
    (mine && row.task.attempt == key.attempt).then_some(row)
}

/// Notes the heartbeats whose rows are there and not locked. What became of those, by their places.
pub(super) fn beat(
    st: &mut Statement<'_>,
    owner: Incarnation,
    beats: &[Beat],
) -> Looked<Option<BTreeMap<usize, Beaten>>> {
    if !st.fence(owner)? {
        return Ok(None);
    }
    let mut order: Vec<usize> = (0..beats.len()).collect();
    order.sort_by_key(|at| (beats[*at].key.execution, beats[*at].key.activity));
    let (mut kept, now) = (BTreeMap::new(), st.now_ms);
    for at in order {
        let Beat { key, details, at_ms } = &beats[at];
        let Some(row) = beaten(st, owner, *key) else { continue };
        if !st.try_lock(row.row(), Mode::NoKeyUpdate) {
            continue;
        }
        kept.insert(at, Beaten::Kept { cancel: row.cancel });
        if row.beat_at_ms.is_none_or(|known| known <= *at_ms || known > now) {
            let mut row = row.clone();
            (row.task.details, row.beat_at_ms) = (Some(details.clone()), Some(*at_ms));
            st.write(Write::Task(Box::new(row)));
        }
    }
    Ok(Some(kept))
}

impl Tasks for MemoryStore {
    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks> {
        Box::pin(async move {
            self.once("claim_tasks", move |session| {
                Box::pin(async move { claim_tasks(session, &claim).await })
            })
            .await
        })
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = self.once("finish_task", move |session| {
                Box::pin(async move {
                    match session.run(|st| finish(st, owner, key, &body)).await? {
                        Ended::By(receiver) => Ok(Some(receiver)),
                        Ended::Otherwise => Ok(None),
                        Ended::Fenced => Err(Failure::Refused(StoreError::Fenced)),
                    }
                })
            });
            let ended = ended.await?;
            ended.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            Ok(ended.is_some())
        })
    }

    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let concerned = self.once("release_tasks", move |session| {
                Box::pin(async move { session.run(|st| release(st, owner, &keys)).await })
            });
            self.shared.notify_concerned(&concerned.await?);
            Ok(())
        })
    }

    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>> {
        Box::pin(self.seen("owned_tasks", move |st| {
            let mine = st.tables.tasks.values().filter(|row| row.owner == Some(owner));
            mine.map(|row| OwnedTask { key: row.key(), cancel: row.cancel }).collect()
        }))
    }

    fn beat(&self, owner: Incarnation, beats: Vec<Beat>) -> StoreFuture<'_, Vec<Beaten>> {
        Box::pin(async move {
            self.once("beat", move |session| {
                Box::pin(async move {
                    let kept = session.run(|st| beat(st, owner, &beats)).await?;
                    let Some(kept) = kept else { return Err(Failure::Refused(StoreError::Fenced)) };
                    let there = |st: &mut Statement<'_>| {
                        let found = beats.iter().map(|beat| beaten(st, owner, beat.key).is_some());
                        Ok(found.collect::<Vec<bool>>())
                    };
                    let there = match kept.len() < beats.len() {
                        true => session.run(there).await?,
                        false => Vec::new(),
                    };
                    let answer = |at: usize| match (kept.get(&at), there.get(at)) {
                        (Some(kept), _) => *kept,
                        (None, Some(true)) => Beaten::Locked,
                        (None, _) => Beaten::Gone,
                    };
                    Ok((0..beats.len()).map(answer).collect())
                })
            })
            .await
        })
    }

    fn expire_tasks(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let expired =
                self.once("expire_tasks", move |session| Box::pin(async move { session.run(expire).await }));
            let (expired, concerned) = expired.await?;
            self.shared.notify_concerned(&concerned);
            Ok(expired)
        })
    }
}
