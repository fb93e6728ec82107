//! Workers: incarnations, leases, the locks that tell a death early, and take-over (PROTOCOL 12-14, 18, 19).
//!
//! A lease is judged by the database's clock alone. One row a worker: a process has one writer here.

use super::MemoryStore;
use super::call::answered;
use super::locks::{Key, Mode};
use super::session::{Failure, Session, Style};
use super::shared::NAME;
use super::statement::{Looked, Statement};
use super::tables::{Execution, Lease, Worker};
use super::task::{json, tell_outcome};
use super::write::Write;
use crate::store::task::lost;
use crate::store::{DeadWorker, InboxRow, MessageKind, StoreError, WorkerInfo};
use abide_core::{ExecutionId, Incarnation};
use std::time::Duration;
use tokio::time::Instant;

/// How many executions a take-over sets free in one transaction.
const FREE_AT_ONCE: usize = 1_000;
/// How long the lease of a worker whose lock is free lasts from its last renewal.
const EARLY: Duration = Duration::from_secs(5);
/// How long an answer is waited for on the line that renews.
const NO_ANSWER: Duration = Duration::from_secs(4);
/// The longest pause between two tries to connect that line.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl MemoryStore {
    pub(super) async fn register_worker(&self, info: WorkerInfo) -> Result<Incarnation, StoreError> {
        let (lease_ms, queue) = (ms(self.shared.lease), info.queue.clone());
        let registered = self.call("register", move |session| {
            Box::pin(async move {
                let insert = |st: &mut Statement<'_>| {
                    let id = st.new_incarnation();
                    st.lock(Key::Worker(id), Mode::Update)?;
                    st.write(Write::Worker(Worker { id, info: info.clone() }));
                    Ok(id)
                };
                let id = session.run(insert).await?;
                let grant = |st: &mut Statement<'_>| {
                    let now = st.now_ms;
                    st.lock(Key::Lease(id), Mode::Update)?;
                    st.write(Write::Lease(id, Lease { until_ms: now + lease_ms, renewed_ms: now }));
                    Ok(())
                };
                session.run(grant).await.map(|()| id)
            })
        });
        let id = registered.await?;
        self.shared.mine().insert(id, queue);
        if self.shared.line().since.is_some() {
            self.shared.server.hold(self.shared.process, std::iter::once(id));
        }
        Ok(id)
    }

    /// On a line of its own, which no call holds up; when it breaks, the locks that it holds are let go until it is there again.
    pub(super) async fn renew_lease(&self, owner: Incarnation) -> Result<(), StoreError> {
        let shared = &self.shared;
        if shared.queue.is_closed() {
            return Err(StoreError::Closed);
        }
        let line = *shared.line();
        if line.since.is_none() {
            tokio::time::sleep(pause_after(line.failures)).await;
        }
        let lease_ms = ms(shared.lease);
        let renewed = answered(shared, NO_ANSWER, "renew", Style::Once, move |session| {
            Box::pin(async move { session.run(|st| extend(st, owner, lease_ms)).await })
        });
        match renewed.await {
            Ok(renewed) => {
                self.line_is_there();
                let now_ms = renewed.ok_or(StoreError::Fenced)?;
                shared.clock.iter().for_each(|clock| clock.set(now_ms));
                Ok(())
            }
            Err(failure) => {
                let failures = shared.line().failures.saturating_add(1);
                *shared.line() = super::shared::Line { since: None, failures };
                shared.server.let_go(shared.process, None);
                Err(failure.error(NAME))
            }
        }
    }

    fn line_is_there(&self) {
        let mut line = self.shared.line();
        line.failures = 0;
        if line.since.is_none() {
            line.since = Some(Instant::now());
            drop(line);
            let mine: Vec<_> = self.shared.mine().keys().copied().collect();
            self.shared.server.hold(self.shared.process, mine.into_iter());
        }
    }

    pub(super) async fn unregister_worker(&self, owner: Incarnation) -> Result<(), StoreError> {
        let left =
            self.call("unregister", move |session| Box::pin(async move { leave(session, owner).await }));
        let left = left.await;
        let queue = self.shared.mine().remove(&owner);
        self.shared.server.let_go(self.shared.process, Some(owner));
        queue.iter().for_each(|queue| self.shared.tell_queue(queue));
        self.shared.tell_news();
        left
    }

    pub(super) async fn dead_workers(&self) -> Result<Vec<DeadWorker>, StoreError> {
        // A worker without a lease that is still there: its take-over was begun and not finished.
        let all = self.read("dead", move |session| {
            Box::pin(async move {
                let look = |st: &mut Statement<'_>| {
                    let found = st.tables.workers.iter().map(|(id, worker)| {
                        let name = worker.info.name.clone();
                        let lease = st.tables.leases.get(id);
                        let is_dead = lease.is_none_or(|lease| lease.until_ms < st.now_ms);
                        (is_dead, DeadWorker { incarnation: *id, name, gone: false })
                    });
                    Ok(found.collect::<Vec<_>>())
                };
                session.run(look).await
            })
        });
        let (dead, others): (Vec<_>, Vec<_>) = all.await?.into_iter().partition(|(dead, _)| *dead);
        let others = others.iter().any(|(_, other)| !self.shared.mine().contains_key(&other.incarnation));
        if others && self.hears_locks() {
            self.shorten_leases().await?;
        }
        Ok(dead.into_iter().map(|(_, dead)| dead).collect())
    }

    /// Whether this process's own line has been there for a whole lease.
    fn hears_locks(&self) -> bool {
        self.shared.line().since.is_some_and(|since| since.elapsed() > self.shared.lease)
    }

    /// Shortens the leases of workers whose locks are free, unless the server has just started.
    async fn shorten_leases(&self) -> Result<(), StoreError> {
        let (early_ms, lease_ms) = (ms(EARLY.min(self.shared.lease)), ms(self.shared.lease));
        let shorten = move |st: &mut Statement<'_>| {
            if st.sessions.started_ms >= st.now_ms - lease_ms {
                return Ok(());
            }
            for (id, lease) in &st.tables.leases {
                let until_ms = lease.renewed_ms + early_ms;
                let known = st.tables.workers.contains_key(id);
                if known && lease.until_ms > until_ms && !st.sessions.lives.contains_key(id) {
                    st.lock(Key::Lease(*id), Mode::NoKeyUpdate)?;
                    st.write(Write::Lease(*id, Lease { until_ms, ..*lease }));
                }
            }
            Ok(())
        };
        self.once("shorten", move |session| Box::pin(async move { session.run(shorten).await })).await
    }

    /// Fence first and commit, then read (PROTOCOL 14); the worker's row goes last, so that anybody can finish.
    pub(super) async fn take_over_from(&self, dead: Incarnation) -> Result<u64, StoreError> {
        let fenced =
            self.call("fence_out", move |session| Box::pin(async move { fence_out(session, dead).await }));
        if !fenced.await? {
            return Ok(0);
        }
        self.call("lose_tasks", move |session| {
            Box::pin(async move { session.run(|st| lose_tasks(st, dead)).await })
        })
        .await?;
        let mut freed = 0;
        loop {
            let now = self.shared.now_ms();
            let some = self
                .call("set_free", move |session| Box::pin(async move { set_free(session, dead, now).await }));
            match some.await? {
                0 => break,
                some => freed += some,
            }
        }
        self.shared.tell_all_workers();
        Ok(freed)
    }
}

fn pause_after(failures: u32) -> Duration {
    Duration::from_millis(20 << failures.min(7)).min(LONGEST_PAUSE)
}

/// The database's time, if the lease is there.
pub(super) fn extend(st: &mut Statement<'_>, owner: Incarnation, lease_ms: i64) -> Looked<Option<i64>> {
    if !st.tables.leases.contains_key(&owner) {
        return Ok(None);
    }
    st.lock(Key::Lease(owner), Mode::NoKeyUpdate)?;
    let now = st.now_ms;
    st.write(Write::Lease(owner, Lease { until_ms: now + lease_ms, renewed_ms: now }));
    Ok(Some(now))
}

/// Deletes the lease: whatever its owner still appends is refused. Waits for those that have passed the fence.
fn delete_lease(st: &mut Statement<'_>, owner: Incarnation) -> Looked<()> {
    st.lock(Key::Lease(owner), Mode::Update)?;
    st.write(Write::LeaseGone(owner));
    Ok(())
}

/// False: it has renewed its lease meanwhile, or never was.
pub(super) async fn fence_out(session: &mut Session, dead: Incarnation) -> Result<bool, Failure> {
    let delete = |st: &mut Statement<'_>| match st.tables.leases.get(&dead) {
        Some(lease) if lease.until_ms < st.now_ms => delete_lease(st, dead),
        _ => Ok(()),
    };
    session.run(delete).await?;
    let left = |st: &mut Statement<'_>| {
        Ok(st.tables.workers.contains_key(&dead) && !st.tables.leases.contains_key(&dead))
    };
    session.run(left).await
}

/// The attempts that it ran for others are lost: their executions are told.
pub(super) fn lose_tasks(st: &mut Statement<'_>, dead: Incarnation) -> Looked<()> {
    let (tables, now) = (st.tables, st.now_ms);
    for row in tables.tasks.values().filter(|row| row.owner == Some(dead)) {
        st.lock(Key::Task(row.execution, row.task.activity), Mode::Update)?;
        st.write(Write::TaskGone(row.execution, row.task.activity));
        if st.receiver(row.execution)?.is_some() {
            tell_outcome(st, row, &json(&lost()), now)?;
        }
    }
    Ok(())
}

fn owned(st: &Statement<'_>, owner: Incarnation) -> Vec<Execution> {
    let owned = st.tables.executions.values().filter(|execution| execution.row.owner == Some(owner));
    owned.cloned().collect()
}

/// Sets some of what it owned free; the crash counter rises for what was running. With nothing left its row goes.
pub(super) async fn set_free(session: &mut Session, dead: Incarnation, now: i64) -> Result<u64, Failure> {
    let free = |st: &mut Statement<'_>| {
        let some: Vec<_> = owned(st, dead).into_iter().take(FREE_AT_ONCE).collect();
        let freed: Vec<ExecutionId> = some.iter().map(|execution| execution.row.id).collect();
        for mut execution in some {
            let row = &mut execution.row;
            row.rev += 1;
            (row.owner, row.recovered_from) = (None, Some(dead));
            row.crashes += u32::from(row.active);
            if row.active && row.status.is_open() {
                row.wake_at_ms = Some(now);
            }
            st.update(execution)?;
        }
        Ok(freed)
    };
    let freed = session.run(free).await?;
    session.run(|st| forget_closed(st, &freed)).await?;
    if freed.is_empty() {
        session.run(|st| delete_worker(st, dead)).await?;
    }
    Ok(freed.len() as u64)
}

/// What was terminated and is nobody's any more: nobody is to be told so.
fn forget_closed(st: &mut Statement<'_>, freed: &[ExecutionId]) -> Looked<()> {
    let tables = st.tables;
    let is_closed = |id: &ExecutionId| tables.executions.get(id).is_some_and(|to| !to.row.status.is_open());
    let told = |row: &&InboxRow| {
        row.kind != MessageKind::Query && freed.contains(&row.execution) && is_closed(&row.execution)
    };
    tables.inbox.values().filter(told).try_for_each(|row| st.take_out(row))
}

fn delete_worker(st: &mut Statement<'_>, dead: Incarnation) -> Looked<()> {
    let has_tasks = st.tables.tasks.values().any(|row| row.owner == Some(dead));
    let has_lease = st.tables.leases.contains_key(&dead);
    if has_tasks || has_lease || !st.tables.workers.contains_key(&dead) || !owned(st, dead).is_empty() {
        return Ok(());
    }
    st.lock(Key::Worker(dead), Mode::Update)?;
    st.write(Write::WorkerGone(dead));
    Ok(())
}

/// A clean leave is no crash: nothing is counted, and what was left behind is due at once.
pub(super) async fn leave(session: &mut Session, owner: Incarnation) -> Result<(), Failure> {
    let fence = |st: &mut Statement<'_>| match st.tables.leases.contains_key(&owner) {
        true => delete_lease(st, owner),
        false => Ok(()),
    };
    session.run(fence).await?;
    let free = |st: &mut Statement<'_>| {
        let mut freed = Vec::new();
        for mut execution in owned(st, owner) {
            let row = &mut execution.row;
            freed.push(row.id);
            row.owner = None;
            row.rev += 1;
            if row.active {
                row.recovered_from = Some(owner);
            }
            if row.active && row.status.is_open() {
                row.wake_at_ms = Some(st.now_ms);
            }
            st.update(execution)?;
        }
        Ok(freed)
    };
    let freed = session.run(free).await?;
    session.run(|st| lose_tasks(st, owner)).await?;
    session.run(|st| forget_closed(st, &freed)).await?;
    let delete = |st: &mut Statement<'_>| {
        if st.tables.workers.contains_key(&owner) {
            st.lock(Key::Worker(owner), Mode::Update)?;
            st.write(Write::WorkerGone(owner));
        }
        Ok(())
    };
    session.run(delete).await
}
