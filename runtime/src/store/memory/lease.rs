//! Workers: incarnations, leases, the locks that tell a death early, and take-over (PROTOCOL 12-14, 18, 19).
//!
//! A lease is judged by the database's clock alone. One row a worker: a process has one writer here.

use super::call::answered;
use super::claim;
use super::ends;
use super::locks::{Key, Mode};
use super::session::{Failure, Session, Style};
use super::shared::NAME;
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::tables::{Execution, Lease, ProcessId, Worker};
use super::task::tell_outcome;
use super::write::Write;
use crate::store::decide::{Notify, Seen, Suspects, judge};
use crate::store::owner::{EARLY, FREE_AT_ONCE};
use crate::store::patience::reconnect_after;
use crate::store::task::lost;
use crate::store::{
    Claim, Claimed, ClaimedEnds, Deaths, ExecutionRow, InboxRow, MessageKind, Ownership, StoreError,
    StoreFuture, WorkerInfo,
};
use abide_core::{ExecutionId, Incarnation};
use std::time::Duration;
use tokio::time::Instant;

/// How long the control connection waits for an answer.
const NO_ANSWER: Duration = Duration::from_secs(4);

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Ownership for MemoryStore {
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation> {
        Box::pin(async move {
            let (lease_ms, queue) = (ms(self.shared.lease), info.queue.clone());
            let process = self.shared.process;
            let process = self.shared.machine.map(|machine| ProcessId { machine, process });
            let registered = self.call("register", move |session| {
                Box::pin(async move {
                    let insert = |st: &mut Statement<'_>| {
                        let id = st.new_incarnation();
                        st.lock(Key::Worker(id), Mode::Update)?;
                        st.write(Write::Worker(Worker { id, info: info.clone(), process }));
                        Ok(id)
                    };
                    let id = session.run(insert).await?;
                    let grant = |st: &mut Statement<'_>| {
                        let (now, server) = (st.now_ms, st.sessions.server);
                        st.lock(Key::Lease(id), Mode::Update)?;
                        let lease = Lease { until_ms: now + lease_ms, renewed_ms: now, server };
                        st.write(Write::Lease(id, lease));
                        Ok(())
                    };
                    session.run(grant).await.map(|()| id)
                })
            });
            let id = registered.await?;
            self.shared.mine().insert(id, queue);
            if self.shared.control().is_there {
                self.shared.server.hold(self.shared.process, std::iter::once(id));
            }
            Ok(id)
        })
    }

    /// On the control connection, which no call holds up; when it breaks, its locks are free until it is back.
    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let shared = &self.shared;
            if shared.queue.is_closed() {
                return Err(StoreError::Closed);
            }
            let control = *shared.control();
            if !control.is_there {
                tokio::time::sleep(reconnect_after(control.failures)).await;
            }
            let lease_ms = ms(shared.lease);
            let renewed = answered(shared, NO_ANSWER, "renew", Style::Once, move |session| {
                Box::pin(async move { session.run(|st| extend(st, owner, lease_ms)).await })
            });
            match renewed.await {
                Ok(renewed) => {
                    self.control_is_back();
                    let now_ms = renewed.ok_or(StoreError::Fenced)?;
                    shared.clock.iter().for_each(|clock| clock.set(now_ms));
                    Ok(())
                }
                Err(failure) => {
                    let mut control = shared.control();
                    control.failures = control.failures.saturating_add(1);
                    if std::mem::take(&mut control.is_there) {
                        control.broke = Some(Instant::now());
                    }
                    drop(control);
                    shared.server.let_go(shared.process, None);
                    Err(failure.error(NAME))
                }
            }
        })
    }

    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let left =
                self.call("unregister", move |session| Box::pin(async move { leave(session, owner).await }));
            let left = left.await;
            let queue = self.shared.mine().remove(&owner);
            self.shared.server.let_go(self.shared.process, Some(owner));
            queue.iter().for_each(|queue| self.shared.notify_queue(queue));
            self.shared.notify_clients();
            left
        })
    }

    fn dead(&self) -> StoreFuture<'_, Deaths> {
        Box::pin(async move {
            let all = self.read("dead", move |session| {
                Box::pin(async move {
                    session
                        .run(|st| Ok(st.tables.workers.keys().map(|id| seen(st, *id)).collect::<Vec<_>>()))
                        .await
                })
            });
            let is_mine = |worker| self.shared.mine().contains_key(&worker);
            let workers = all.await?.into_iter().flatten();
            let (mut deaths, suspects) = judge(workers, is_mine, |process| self.has_ended(process));
            if !suspects.workers.is_empty() && self.hears_locks() {
                let known = suspects.left_ms();
                deaths.next = Suspects::next(known, self.shorten_leases(suspects.workers).await?);
            }
            Ok(deaths)
        })
    }

    /// Fence first and commit, then read (PROTOCOL 14); the worker's row goes last, so that anybody can finish.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let one = self.read("dead", move |session| {
                Box::pin(async move { session.run(|st| Ok(seen(st, dead))).await })
            });
            let Some(worker) = one.await? else { return Ok(0) };
            // What has ended does not come back: it has still ended when the lease is deleted.
            let is_mine = self.shared.mine().contains_key(&dead);
            let gone = worker.is_gone(is_mine, |process| self.has_ended(process));
            let fenced = self.call("fence_out", move |session| {
                Box::pin(async move { fence_out(session, dead, gone).await })
            });
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
                let some = self.call("set_free", move |session| {
                    Box::pin(async move { set_free(session, dead, now).await })
                });
                match some.await? {
                    0 => break,
                    some => freed += some,
                }
            }
            self.shared.notify_workers();
            Ok(freed)
        })
    }

    fn claim(&self, wanted: Claim) -> StoreFuture<'_, Claimed> {
        let now = self.shared.now_ms();
        Box::pin(
            self.once("claim", move |session| {
                Box::pin(async move { claim::claim(session, &wanted, now).await })
            }),
        )
    }

    fn claim_offered(&self, wanted: Claim) -> StoreFuture<'_, Vec<ExecutionRow>> {
        let now = self.shared.now_ms();
        Box::pin(self.call("claim_offered", move |session| {
            Box::pin(async move { claim::claim_offered(session, &wanted, now).await })
        }))
    }

    fn claim_ends(&self, owner: Incarnation, limit: u32) -> StoreFuture<'_, ClaimedEnds> {
        let at = (self.shared.now_ms(), limit);
        Box::pin(self.once("claim_ends", move |session| Box::pin(ends::claim_ends(session, owner, at))))
    }

    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>> {
        Box::pin(self.seen("owned", move |st| {
            let owned = st.tables.executions.values().filter(|execution| execution.row.owner == Some(owner));
            owned.map(|execution| execution.row.id).collect()
        }))
    }

    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>> {
        Box::pin(self.seen("served", move |st| {
            let lives = |id| st.tables.leases.get(id).is_some_and(|lease| lease.until_ms > st.now_ms);
            let workers =
                st.tables.workers.iter().filter(|(id, worker)| worker.info.queue == queue && lives(id));
            workers.map(|(_, worker)| worker.info.types.clone()).collect()
        }))
    }
}

impl MemoryStore {
    fn control_is_back(&self) {
        let mut control = self.shared.control();
        control.failures = 0;
        if !std::mem::replace(&mut control.is_there, true) {
            drop(control);
            let mine: Vec<_> = self.shared.mine().keys().copied().collect();
            self.shared.server.hold(self.shared.process, mine.into_iter());
        }
    }

    /// Whether the operating system says that a process of this machine has ended.
    fn has_ended(&self, process: &Option<ProcessId>) -> bool {
        let here = process.filter(|of| Some(of.machine) == self.shared.machine);
        here.is_some_and(|of| self.shared.server.is_killed(of.process))
    }

    /// Whether free locks of others mean anything to this process: whatever broke its own line may have
    /// broken everybody's.
    fn hears_locks(&self) -> bool {
        let control = *self.shared.control();
        control.is_there && control.broke.is_none_or(|at| at.elapsed() > self.shared.lease)
    }

    /// Shortens the leases of those of these workers whose locks are free and who have renewed at this very
    /// run of the server; how many ms the first of those has left.
    async fn shorten_leases(&self, suspects: Vec<Incarnation>) -> Result<Option<i64>, StoreError> {
        let early_ms = ms(EARLY.min(self.shared.lease));
        let shorten = move |st: &mut Statement<'_>| {
            let mut left = None;
            for id in &suspects {
                let Some(lease) = st.tables.leases.get(id).copied() else { continue };
                let until_ms = lease.renewed_ms + early_ms;
                let suspected = lease.server == st.sessions.server && !st.sessions.lives.contains_key(id);
                if suspected && lease.until_ms > until_ms && st.tables.workers.contains_key(id) {
                    st.lock(Key::Lease(*id), Mode::NoKeyUpdate)?;
                    st.write(Write::Lease(*id, Lease { until_ms, ..lease }));
                    left = left.into_iter().chain([until_ms - st.now_ms]).min();
                }
            }
            Ok(left)
        };
        self.once("shorten", move |session| Box::pin(async move { session.run(shorten).await })).await
    }
}

fn seen(st: &Statement<'_>, incarnation: Incarnation) -> Option<Seen<Option<ProcessId>>> {
    let (worker, lease) = (st.tables.workers.get(&incarnation)?, st.tables.leases.get(&incarnation));
    Some(Seen {
        incarnation,
        name: worker.info.name.clone(),
        process: worker.process,
        left_ms: lease.map(|lease| lease.until_ms - st.now_ms),
        same_server: lease.is_some_and(|lease| lease.server == st.sessions.server),
        held: st.sessions.lives.contains_key(&incarnation),
    })
}

/// The database's time, if the lease is there.
pub(super) fn extend(st: &mut Statement<'_>, owner: Incarnation, lease_ms: i64) -> Looked<Option<i64>> {
    if !st.tables.leases.contains_key(&owner) {
        return Ok(None);
    }
    st.lock(Key::Lease(owner), Mode::NoKeyUpdate)?;
    let (now, server) = (st.now_ms, st.sessions.server);
    st.write(Write::Lease(owner, Lease { until_ms: now + lease_ms, renewed_ms: now, server }));
    Ok(Some(now))
}

/// Deletes the lease: whatever its owner still appends is refused. Waits for those that have passed the fence.
fn delete_lease(st: &mut Statement<'_>, owner: Incarnation) -> Looked<()> {
    st.lock(Key::Lease(owner), Mode::Update)?;
    st.write(Write::LeaseGone(owner));
    Ok(())
}

/// `gone`: whether its lease has run out or not. False: it has renewed it meanwhile, or never was.
pub(super) async fn fence_out(session: &mut Session, dead: Incarnation, gone: bool) -> Result<bool, Failure> {
    let delete = |st: &mut Statement<'_>| match st.tables.leases.get(&dead) {
        Some(lease) if gone || lease.until_ms < st.now_ms => delete_lease(st, dead),
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
            tell_outcome(st, row, &lost(), now)?;
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

/// Deletes the messages to closed executions that have lost their owner, since no worker will read them.
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
