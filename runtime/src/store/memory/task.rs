//! Tasks: attempts that run in another process, and the rows that arbitrate them (PROTOCOL 22). The
//! statements of `postgres/task.rs`.

use super::held::holds_lease;
use super::limit;
use super::locks::Mode;
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::taken::{in_time, take_rows};
use super::write::{TaskRow, Write};
use crate::store::decide::{Concerned, Notify, Receiver, attempt_request_id, outcome_body, outcome_json};
use crate::store::task::timed_out;
use crate::store::{
    Beat, BeatRow, Beaten, ClaimedTasks, MessageKind, NewTask, OwnedTask, StoreError, StoreFuture, Task,
    TaskClaim, TaskKey, Tasks, WorkerLimit,
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
    /// Its last heartbeat.
    pub(super) fn last_beat(&self) -> Option<BeatRow> {
        let NewTask { activity, details, .. } = &self.task;
        Some(BeatRow { activity: *activity, details: details.clone()?, at_ms: self.beat_at_ms })
    }
}

/// Deletes a task.
pub(super) fn delete(st: &mut Statement<'_>, row: &TaskRow) -> Looked<()> {
    st.lock(row.row(), Mode::Update)?;
    st.write(Write::TaskGone(row.execution, row.task.activity));
    Ok(())
}

/// By priority, then the oldest due first. Nothing where tasks with limits or keys are waiting.
fn take(st: &mut Statement<'_>, claim: &TaskClaim, queue: &str, room: usize) -> Looked<Vec<Task>> {
    let (tables, now) = (st.tables, st.now_ms);
    if tables.tasks.values().any(|row| row.waits_in(queue) && row.is_keyed()) {
        return Ok(Vec::new());
    }
    let is_due = |row: &&TaskRow| {
        row.waits_in(queue)
            && !row.cancel
            && row.task.run_at_ms <= now
            && claim.names.contains(&row.task.name)
            && in_time(row, now)
    };
    let mut due: Vec<&TaskRow> = tables.tasks.values().filter(is_due).collect();
    due.sort_by_key(|row| (row.task.place.priority, row.task.run_at_ms));
    let chosen: Vec<_> =
        due.into_iter().filter(|row| st.try_lock(row.row(), Mode::Update)).take(room).collect();
    Ok(take_rows(st, claim.owner, chosen))
}

/// When the next one without limits and keys is due, and whether there are others.
fn next_task(st: &Statement<'_>, claim: &TaskClaim, queue: &str) -> (Option<i64>, bool) {
    let waiting = || st.tables.tasks.values().filter(|row| row.waits_in(queue));
    let mine = waiting().filter(|row| !row.is_keyed() && claim.names.contains(&row.task.name));
    (mine.map(|row| row.task.run_at_ms).min(), waiting().any(TaskRow::is_keyed))
}

pub(super) async fn claim_tasks(session: &mut Session, claim: &TaskClaim) -> Result<Claimed, Failure> {
    let (mut tasks, mut next_due_ms, mut limited) = (Vec::new(), None, Vec::new());
    for queue in &claim.queues {
        let room = (claim.limit as usize).saturating_sub(tasks.len());
        tasks.extend(session.run(|st| take(st, claim, queue, room)).await?);
        match session.run(|st| Ok(next_task(st, claim, queue))).await {
            Ok((next, is_keyed)) => {
                next_due_ms = next.into_iter().chain(next_due_ms).min();
                limited.extend(is_keyed.then(|| queue.clone()));
            }
            // These tasks are claimed already: return them despite the error.
            Err(failure) if tasks.is_empty() || matches!(failure, Failure::Gone) => return Err(failure),
            Err(_) => break,
        }
    }
    if tasks.is_empty() && !holds_lease(session, claim.owner).await? {
        return Err(Failure::Refused(StoreError::Fenced));
    }
    let claimed = ClaimedTasks { tasks, next_due_ms, turn: claim.turn.clone(), soon: false };
    Ok(Claimed { claimed, limited })
}

/// What a claim got, and the queues whose tasks with limits and keys it left.
pub(super) struct Claimed {
    pub(super) claimed: ClaimedTasks,
    limited: Vec<String>,
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
    let (owner, queue) = (receiver.row.owner, receiver.row.queue.clone());
    Ok(Ended::By(Receiver { owner, queue }, token.frees()))
}

/// How an attempt ended.
pub(super) enum Ended {
    /// With the task queue in which there is room now.
    By(Receiver, Option<String>),
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
        concerned.add(None, row.task.queue.clone());
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
        concerned.add(None, row.frees());
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
            let is_limited = |queue: &String| self.shared.limited().contains(queue);
            let mut claimed = ClaimedTasks { turn: claim.turn.clone(), ..ClaimedTasks::default() };
            if !claim.queues.iter().any(is_limited) {
                let plain = claim.clone();
                let first = self.once("claim_tasks", move |session| {
                    Box::pin(async move { claim_tasks(session, &plain).await })
                });
                let first = first.await?;
                claimed = first.claimed;
                self.shared.limited().extend(first.limited);
            }
            let limited: Vec<String> =
                claim.queues.iter().filter(|queue| is_limited(queue)).cloned().collect();
            for queue in limited {
                let (rest, of) = (claim.rest(&claimed), queue.clone());
                let some = self.call("claim_limited", move |session| {
                    Box::pin(async move { limit::claim(session, &rest, &of).await })
                });
                match some.await {
                    Ok((some, is_keyed)) => {
                        claimed.add(some);
                        if !is_keyed {
                            self.shared.limited().remove(&queue);
                        }
                    }
                    // Claimed already: return them despite the error.
                    Err(_) if !claimed.tasks.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(claimed)
        })
    }

    fn limited(&self, queue: String) -> StoreFuture<'_, Vec<String>> {
        Box::pin(self.seen("limited", move |st| {
            let limits =
                st.tables.limits.iter().filter(|((of, key), limit)| *of == queue && *key == limit.activity);
            limits.map(|((_, key), _)| key.clone()).collect()
        }))
    }

    fn set_limits(&self, queue: String, limits: Vec<WorkerLimit>) -> StoreFuture<'_, ()> {
        Box::pin(self.call("set_limits", move |session| {
            Box::pin(async move { session.run(|st| limit::set(st, &queue, &limits)).await })
        }))
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = self.once("finish_task", move |session| {
                Box::pin(async move {
                    match session.run(|st| finish(st, owner, key, &body)).await? {
                        Ended::By(receiver, frees) => Ok(Some((receiver, frees))),
                        Ended::Otherwise => Ok(None),
                        Ended::Fenced => Err(Failure::Refused(StoreError::Fenced)),
                    }
                })
            });
            let ended = ended.await?;
            if let Some((receiver, frees)) = &ended {
                self.shared.notify_receiver(receiver);
                frees.iter().for_each(|queue| self.shared.notify_queue(queue));
            }
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
