//! Claims in a task queue with limits or keys, and the limits themselves (PROTOCOL 78, 79). The statements of
//! `postgres/limit.rs`.

use super::held::holds_lease;
use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::taken::{in_time, take_rows};
use super::write::{Limit, TaskRow, Write};
use crate::store::decide::{Candidate, CandidateTask, GROUPS_AT_ONCE, LimitRow, Rooms, pick};
use crate::store::{ClaimedTasks, SWEEP_AT_ONCE, StoreError, Task, TaskClaim, WorkerLimit};
use abide_core::{EventId, ExecutionId, Incarnation};
use std::collections::{BTreeMap, BTreeSet};

type Pair = (String, String);

fn pair(row: &TaskRow) -> Pair {
    (row.task.place.fair_key.clone(), row.task.place.limit_key.clone())
}

fn candidates(st: &Statement<'_>, claim: &TaskClaim, queue: &str) -> Vec<Candidate> {
    let (now, last) = (st.now_ms, (claim.turn.fair_key.clone(), claim.turn.limit_key.clone()));
    let mut by_priority: BTreeMap<i16, BTreeMap<Pair, Vec<&TaskRow>>> = BTreeMap::new();
    for row in st.tables.tasks.values().filter(|row| row.waits_in(queue)) {
        by_priority.entry(row.task.place.priority).or_default().entry(pair(row)).or_default().push(row);
    }
    let mut found = Vec::new();
    for (priority, groups) in by_priority {
        let keyed: BTreeSet<Pair> = groups.keys().filter(|pair| **pair != Pair::default()).cloned().collect();
        let ahead = keyed.iter().filter(|pair| **pair > last).take(GROUPS_AT_ONCE);
        let behind = keyed.iter().filter(|pair| **pair <= last).take(GROUPS_AT_ONCE);
        let seen: BTreeSet<&Pair> = ahead.chain(behind).collect();
        let share = (claim.limit as usize).div_ceil(seen.len().max(1)).max(1);
        for (pair, mut rows) in groups {
            let is_plain = pair == Pair::default();
            if !is_plain && !seen.contains(&pair) {
                continue;
            }
            rows.retain(|row| claim.names.contains(&row.task.name));
            rows.sort_by_key(|row| row.task.run_at_ms);
            let is_due = |row: &&TaskRow| row.task.run_at_ms <= now && !row.cancel && in_time(row, now);
            let most = if is_plain { claim.limit as usize } else { share };
            let due = rows.iter().copied().filter(is_due).take(most).map(|row| (row, true));
            let later = rows.iter().copied().find(|row| row.task.run_at_ms > now).map(|row| (row, false));
            let tasks: Vec<Option<CandidateTask>> =
                due.chain(later).map(|(row, is_due)| Some(candidate(row, is_due))).collect();
            let tasks = if tasks.is_empty() && !is_plain { vec![None] } else { tasks };
            let (fair_key, limit_key) = pair;
            found.extend(tasks.into_iter().map(|task| Candidate {
                priority,
                fair_key: fair_key.clone(),
                limit_key: limit_key.clone(),
                task,
            }));
        }
    }
    found
}

fn candidate(row: &TaskRow, is_due: bool) -> CandidateTask {
    CandidateTask {
        execution: row.execution,
        activity: row.task.activity,
        name: row.task.name.clone(),
        run_at_ms: row.task.run_at_ms,
        weight: row.task.place.weight,
        is_due,
    }
}

/// The limits of keys that have none yet are those of their activities.
fn adopt(st: &mut Statement<'_>, queue: &str, limits: &BTreeMap<String, String>) -> Looked<()> {
    let (tables, now) = (st.tables, st.now_ms);
    for (key, activity) in limits.iter().filter(|(key, activity)| key != activity) {
        let of = |key: &str| tables.limits.get(&(queue.to_owned(), key.to_owned()));
        let (Some(of_activity), None) = (of(activity), of(key)) else { continue };
        let limit = Limit { tokens: of_activity.burst, at_ms: now, ..of_activity.clone() };
        st.lock(Key::Limit(queue.to_owned(), key.clone()), Mode::Update)?;
        st.write(Write::Limit(queue.to_owned(), key.clone(), limit));
    }
    Ok(())
}

/// Tries to lock them in the order of their keys: those that it got.
fn lock(st: &mut Statement<'_>, queue: &str, limits: &BTreeMap<String, String>) -> BTreeMap<String, Limit> {
    let tables = st.tables;
    let there = limits
        .keys()
        .filter_map(|key| Some((key.clone(), tables.limits.get(&(queue.to_owned(), key.clone()))?.clone())));
    there.filter(|(key, _)| st.try_lock(Key::Limit(queue.to_owned(), key.clone()), Mode::Update)).collect()
}

/// How many run of each, and whether it is limited.
fn count(
    st: &Statement<'_>,
    queue: &str,
    limits: &BTreeMap<String, String>,
) -> BTreeMap<String, (i64, bool)> {
    let counted = limits.keys().map(|key| {
        let is_running = |row: &&TaskRow| {
            let place = &row.task.place;
            row.task.queue.as_deref() == Some(queue)
                && place.limit_key == *key
                && (row.owner.is_some() || row.handed)
        };
        let running = st.tables.tasks.values().filter(is_running).count() as i64;
        (key.clone(), (running, st.tables.limits.contains_key(&(queue.to_owned(), key.clone()))))
    });
    counted.collect()
}

async fn rooms(
    session: &mut Session,
    queue: &str,
    limits: &BTreeMap<String, String>,
) -> Result<(Rooms, i64), Failure> {
    if limits.iter().any(|(key, activity)| key != activity) {
        session.run(|st| adopt(st, queue, limits)).await?;
    }
    let mut locked = session.run(|st| Ok(lock(st, queue, limits))).await?;
    let (counted, now_ms) = session.run(|st| Ok((count(st, queue, limits), st.now_ms))).await?;
    let mut rooms = Rooms::default();
    for (key, (running, exists)) in counted {
        match locked.remove(&key) {
            Some(Limit { most, rate, burst, tokens, at_ms, .. }) => {
                rooms.locked(key, LimitRow { most, rate, burst, tokens, at_ms, running }, now_ms);
            }
            None if exists => rooms.held(key),
            None => {}
        }
    }
    Ok((rooms, now_ms))
}

/// Takes these, if they are still as they were, and spends their tokens.
fn take(
    st: &mut Statement<'_>,
    (owner, queue): (Incarnation, &str),
    chosen: &[(ExecutionId, EventId, String)],
    (tokens, at_ms): (&[(String, f64)], i64),
) -> Looked<Vec<Task>> {
    let (tables, now) = (st.tables, st.now_ms);
    let mut rows: Vec<&TaskRow> = Vec::new();
    for (execution, activity, limit_key) in chosen {
        let row = tables.tasks.get(&(*execution, *activity)).filter(|row| {
            row.waits_in(queue)
                && !row.cancel
                && row.task.run_at_ms <= now
                && row.task.place.limit_key == *limit_key
        });
        rows.extend(row.filter(|row| st.try_lock(row.row(), Mode::Update)));
    }
    rows.sort_by_key(|row| (row.task.place.priority, row.task.run_at_ms));
    let taken = take_rows(st, owner, rows);
    for (key, tokens) in tokens {
        let is_its = |task: &&Task| {
            let row = tables.tasks.get(&(task.key.execution, task.key.activity));
            row.is_some_and(|row| row.task.place.limit_key == *key)
        };
        let n = taken.iter().filter(is_its).count();
        let Some(limit) = tables.limits.get(&(queue.to_owned(), key.clone())).filter(|_| n > 0) else {
            continue;
        };
        let limit = Limit { tokens: tokens - n as f64, at_ms, ..limit.clone() };
        st.write(Write::Limit(queue.to_owned(), key.clone(), limit));
    }
    Ok(taken)
}

/// Claims in this queue, within a transaction. False: nothing with limits or keys is waiting there.
pub(super) async fn claim(
    session: &mut Session,
    claim: &TaskClaim,
    queue: &str,
) -> Result<(ClaimedTasks, bool), Failure> {
    let candidates = session.run(|st| Ok(candidates(st, claim, queue))).await?;
    let is_keyed = candidates.iter().any(|of| !of.limit_key.is_empty() || !of.fair_key.is_empty());
    let limits = Candidate::limits(&candidates);
    let (mut rooms, now_ms) = match limits.is_empty() {
        true => (Rooms::default(), 0),
        false => rooms(session, queue, &limits).await?,
    };
    let picked = pick(&candidates, &mut rooms, claim.limit as usize, &claim.turn, now_ms);
    let chosen = picked.tasks.iter().filter_map(|index| {
        let Candidate { limit_key, task, .. } = &candidates[*index];
        let task = task.as_ref()?;
        Some((task.execution, task.activity, limit_key.clone()))
    });
    let chosen: Vec<_> = chosen.collect();
    let tokens: Vec<(String, f64)> =
        rooms.tokens(now_ms).map(|(key, tokens)| (key.to_owned(), tokens)).collect();
    let mut tasks = Vec::new();
    if !chosen.is_empty() {
        tasks = session.run(|st| take(st, (claim.owner, queue), &chosen, (&tokens, now_ms))).await?;
    }
    if tasks.is_empty() && !holds_lease(session, claim.owner).await? {
        return Err(Failure::Refused(StoreError::Fenced));
    }
    let (turn, next_due_ms, soon) = (picked.turn, picked.next_due_ms, picked.soon);
    Ok((ClaimedTasks { tasks, next_due_ms, turn, soon }, is_keyed))
}

/// Writes these limits of a queue's activities, also for the keys that have them; without a limit, deletes theirs.
pub(super) fn set(st: &mut Statement<'_>, queue: &str, limits: &[WorkerLimit]) -> Looked<()> {
    let (tables, now) = (st.tables, st.now_ms);
    for WorkerLimit { activity, most, rate } in limits {
        let own = (queue.to_owned(), activity.clone());
        let its = tables.limits.iter().filter(|((of, _), limit)| *of == queue && limit.activity == *activity);
        let mut its: BTreeMap<&(String, String), Option<&Limit>> =
            its.map(|(key, limit)| (key, Some(limit))).collect();
        let is_none = most.is_none() && rate.is_none();
        if !is_none {
            its.entry(&own).or_insert(None);
        }
        let burst = rate.map_or(1.0, |(_, burst)| burst);
        for ((queue, key), there) in its {
            if there.is_some_and(|l| (l.most, l.rate, l.burst) == (*most, rate.map(|(rate, _)| rate), burst))
            {
                continue;
            }
            st.lock(Key::Limit(queue.clone(), key.clone()), Mode::Update)?;
            let write = match is_none {
                true => Write::LimitGone(queue.clone(), key.clone()),
                false => {
                    let (tokens, at_ms) = there.map_or((burst, now), |l| (l.tokens.min(burst), l.at_ms));
                    let (activity, rate) = (activity.clone(), rate.map(|(rate, _)| rate));
                    Write::Limit(
                        queue.clone(),
                        key.clone(),
                        Limit { activity, most: *most, rate, burst, tokens, at_ms },
                    )
                }
            };
            st.write(write);
        }
    }
    Ok(())
}

/// Deletes the limits of keys that nothing has begun of for an hour, and that are full again.
pub(super) fn forget(st: &mut Statement<'_>) -> Looked<u64> {
    const LONG_MS: i64 = 3_600_000;
    let (tables, now, mut gone) = (st.tables, st.now_ms, 0);
    let old = tables.limits.iter().filter(|((queue, key), limit)| {
        let Limit { most, rate, burst, tokens, at_ms, .. } = **limit;
        let row = LimitRow { most, rate, burst, tokens, at_ms, running: 0 };
        let is_used = tables.tasks.values().any(|row| {
            let its = row.task.queue.as_ref() == Some(queue) && row.task.place.limit_key == *key;
            its && (row.owner.is_some() || row.handed)
        });
        let is_full = rate.is_none() || row.refilled(now) >= burst;
        limit.activity != *key && at_ms < now - LONG_MS && is_full && !is_used
    });
    for ((queue, key), _) in old.take(SWEEP_AT_ONCE as usize) {
        if st.try_lock(Key::Limit(queue.clone(), key.clone()), Mode::Update) {
            st.write(Write::LimitGone(queue.clone(), key.clone()));
            gone += 1;
        }
    }
    Ok(gone)
}
