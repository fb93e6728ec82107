//! Workers: incarnations, leases, the locks that tell a death early, and take-over (PROTOCOL 12-14, 18, 19).
//!
//! A lease is judged by the database's clock alone. Each worker's process holds an advisory lock while its
//! connection lives; a free one is a hint that shortens the lease to [`EARLY`] from its last renewal, which
//! the next renewal undoes. A server that has started, or was promoted, since that renewal tells nothing, nor
//! does our own connection if it was just opened again: every lock was released then. A process of this
//! machine that has ended by the word of the operating system is dead at once (see
//! [`process`](super::process)).

use super::claim;
use super::command::Command;
use super::ends;
use super::find::is_unkept;
use super::keys::lock_key;
use super::process::Here;
use super::schema::version;
use super::shared::{SLOTS, Shared};
use super::store::PostgresStore;
use crate::store::decide::{
    Notify, Seen, Suspects, judge, left_columns, outcome_json, outcome_row, parking_statuses,
    taken_over_columns,
};
use crate::store::owner::{EARLY, FREE_AT_ONCE};
use crate::store::task::lost;
use crate::store::{
    Claim, Claimed, ClaimedEnds, Deaths, ExecutionRow, Ownership, StoreError, StoreFuture, Trouble,
    WorkerInfo,
};
use abide_core::{ExecutionId, Incarnation};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tokio::sync::oneshot;

pub(super) const OWNED: &str = "SELECT id FROM {s}.execution WHERE owner = $1";

/// Every worker. One without a lease that is still there: its take-over was begun and not finished. The
/// halves of a lock are how `pg_locks` shows a key of 64 bits.
const WORKERS: &str =
    "SELECT w.id, w.name, w.process, l.lease_until - {now}, coalesce(l.server = {server}, false),
        w.life_key IN (SELECT (k.classid::bigint << 32) | k.objid::bigint FROM pg_locks k
            WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
                AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    FROM {s}.worker w LEFT JOIN (SELECT worker, max(lease_until) AS lease_until, min(server) AS server
        FROM {s}.lease GROUP BY worker) l ON l.worker = w.id
    WHERE $1::bigint IS NULL OR w.id = $1";

/// Each condition once more, of the row as it is now: a renewal undoes a suspicion, and is not undone by one.
const SHORTEN: &str = "WITH short AS (UPDATE {s}.lease l SET lease_until = l.renewed_at + $1
        FROM {s}.worker w
        WHERE w.id = l.worker AND w.id = ANY($2) AND l.lease_until > l.renewed_at + $1 AND l.server = {server}
            AND NOT EXISTS (
                SELECT FROM pg_locks k WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
                    AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND ((k.classid::bigint << 32) | k.objid::bigint) = w.life_key)
        RETURNING l.lease_until)
    SELECT min(lease_until) - {now} FROM short";

fn seen(row: &PgRow) -> Result<Seen<String>, StoreError> {
    let read = || -> sqlx::Result<Seen<String>> {
        Ok(Seen {
            incarnation: Incarnation(row.try_get(0)?),
            name: row.try_get(1)?,
            process: row.try_get(2)?,
            left_ms: row.try_get(3)?,
            same_server: row.try_get(4)?,
            held: row.try_get(5)?,
        })
    };
    read().map_err(|error| StoreError::Unknown { message: error.to_string() })
}

impl Ownership for PostgresStore {
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation> {
        Box::pin(async move {
            const WORKER: &str =
                "INSERT INTO {s}.worker (name, build, queue, types, life_key, process, schema, started_at)
            VALUES ($1, $2, $3, $5, $4, $6, $7, {now}) RETURNING id";
            const LEASE: &str = "INSERT INTO {s}.lease (worker, slot, lease_until, renewed_at, server)
            SELECT $1, slot, {now} + $2, {now}, {server} FROM generate_series(0, $3 - 1) slot";
            let key = lock_key(self.shared.sql.schema(), "life", &uuid::Uuid::now_v7().simple().to_string());
            let (lease_ms, queue) = (self.shared.options.lease.as_millis() as i64, info.queue.clone());
            let process = self.here.as_ref().map(Here::text).unwrap_or_default();
            let id = self.call(move |shared, connection| {
                let (info, process) = (info.clone(), process.clone());
                Box::pin(async move {
                    let worker = sqlx::query_scalar::<_, i64>(shared.sql.of(WORKER))
                        .bind(info.name)
                        .bind(info.build)
                        .bind(info.queue)
                        .bind(key)
                        .bind(info.types)
                        .bind(process)
                        .bind(version());
                    let id = worker.fetch_one(&mut *connection).await?;
                    let lease = sqlx::query(shared.sql.of(LEASE)).bind(id).bind(lease_ms).bind(SLOTS as i32);
                    lease.execute(connection).await?;
                    Ok(id)
                })
            });
            let id = Incarnation(id.await?);
            self.shared.mine().insert(id, queue);
            let (held, answer) = oneshot::channel();
            // Without the lock only the lease tells of its death: no reason not to work.
            if self.shared.control.send(Command::Hold(id, key, held)).is_ok() {
                drop(answer.await);
            }
            Ok(id)
        })
    }

    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (renewed, answer) = oneshot::channel();
            let gone = |_| StoreError::Closed;
            self.shared.control.send(Command::Renew(owner, renewed)).map_err(|_| StoreError::Closed)?;
            let now_ms = answer.await.map_err(gone)??;
            self.shared.clock.set(now_ms);
            Ok(())
        })
    }

    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let left = self.call(move |shared, connection| Box::pin(leave(connection, shared, owner)));
            let left = left.await;
            let queue = self.shared.mine().remove(&owner);
            drop(self.shared.control.send(Command::Release(owner)));
            if let Some(queue) = queue {
                self.shared.notify_queue(&queue);
            }
            self.shared.notify_clients();
            left
        })
    }

    fn dead(&self) -> StoreFuture<'_, Deaths> {
        Box::pin(async move {
            let rows = self.read(|shared, connection| {
                let all = sqlx::query(shared.sql.of(WORKERS)).bind(None::<i64>);
                Box::pin(async move { Ok(all.fetch_all(connection).await?) })
            });
            let workers = rows.await?.iter().map(seen).collect::<Result<Vec<_>, _>>()?;
            let is_mine = |worker| self.shared.mine().contains_key(&worker);
            let (mut deaths, suspects) = judge(workers, is_mine, |process| self.has_ended(process));
            if !suspects.workers.is_empty() && self.hears_locks().await {
                let known = suspects.left_ms();
                deaths.next = Suspects::next(known, self.shorten_leases(suspects.workers).await?);
            }
            Ok(deaths)
        })
    }

    /// Fence first and commit, then read (PROTOCOL 14); the worker's row goes last, so that anybody can finish.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let found = self.read(move |shared, connection| {
                let one = sqlx::query(shared.sql.of(WORKERS)).bind(Some(dead.0));
                Box::pin(async move { Ok(one.fetch_optional(connection).await?) })
            });
            let Some(row) = found.await? else { return Ok(0) };
            // What has ended does not come back: it has still ended when the lease is deleted.
            let is_mine = self.shared.mine().contains_key(&dead);
            let gone = seen(&row)?.is_gone(is_mine, |process| self.has_ended(process));
            if !self
                .call(move |shared, connection| Box::pin(fence_out(connection, shared, dead, gone)))
                .await?
            {
                return Ok(0);
            }
            self.call(move |shared, connection| Box::pin(lose_tasks(connection, shared, dead))).await?;
            let mut freed = 0;
            loop {
                let now = self.shared.clock.now_ms();
                let some =
                    self.call(move |shared, connection| Box::pin(set_free(connection, shared, dead, now)));
                let some = some.await?;
                freed += some;
                if some == 0 {
                    break;
                }
            }
            self.shared.notify_workers();
            Ok(freed)
        })
    }

    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.once(move |shared, connection| {
            let claim = claim.clone();
            Box::pin(async move { claim::claim(connection, shared, &claim, now).await })
        }))
    }

    fn claim_offered(&self, claim: Claim) -> StoreFuture<'_, Vec<ExecutionRow>> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |shared, connection| {
            let claim = claim.clone();
            Box::pin(async move { claim::claim_offered(connection, shared, &claim, now).await })
        }))
    }

    fn claim_ends(&self, owner: Incarnation, limit: u32) -> StoreFuture<'_, ClaimedEnds> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.once(move |shared, connection| {
            Box::pin(async move { ends::claim_ends(connection, shared, owner, (now, limit)).await })
        }))
    }

    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query_scalar(shared.sql.of(OWNED)).bind(owner.0);
            Box::pin(
                async move { Ok(query.fetch_all(connection).await?.into_iter().map(ExecutionId).collect()) },
            )
        }))
    }

    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>> {
        const SERVED: &str = "SELECT w.types FROM {s}.worker w WHERE w.queue = $1
            AND EXISTS (SELECT 1 FROM {s}.lease l WHERE l.worker = w.id AND l.lease_until > {now})";
        Box::pin(async move {
            if is_unkept(&queue) {
                return Ok(Vec::new());
            }
            self.read(move |shared, connection| {
                let served = sqlx::query_scalar(shared.sql.of(SERVED)).bind(queue.clone());
                Box::pin(async move { Ok(served.fetch_all(connection).await?) })
            })
            .await
        })
    }
}

impl PostgresStore {
    /// Whether the operating system says that a process of this machine has ended.
    fn has_ended(&self, process: &str) -> bool {
        self.here.as_ref().is_some_and(|here| here.has_ended(process))
    }

    /// Whether free locks of others mean anything to this process.
    async fn hears_locks(&self) -> bool {
        let (hears, answer) = oneshot::channel();
        let asked = self.shared.control.send(Command::HearsLocks(hears)).is_ok();
        asked && answer.await.unwrap_or(false)
    }

    /// Shortens the leases of those of these workers whose locks are free and who have renewed at this very
    /// run of the server; how many ms the first of those has left.
    async fn shorten_leases(&self, suspects: Vec<Incarnation>) -> Result<Option<i64>, StoreError> {
        let suspects: Vec<i64> = suspects.into_iter().map(|worker| worker.0).collect();
        let early_ms = EARLY.min(self.shared.options.lease).as_millis() as i64;
        self.once(move |shared, connection| {
            let query = sqlx::query_scalar::<_, Option<i64>>(shared.sql.of(SHORTEN));
            let query = query.bind(early_ms).bind(suspects.clone());
            Box::pin(async move { Ok(query.fetch_one(connection).await?) })
        })
        .await
    }
}

/// Deletes the lease, whatever it still appends is refused. `gone`: whether it has run out or not. False: it
/// has renewed it meanwhile, or never was.
pub(super) async fn fence_out(
    connection: &mut PgConnection,
    shared: &Shared,
    dead: Incarnation,
    gone: bool,
) -> Result<bool, Trouble> {
    const DELETE: &str = "DELETE FROM {s}.lease WHERE worker = $1 AND (lease_until < {now} OR $2)";
    const LEFT: &str = "SELECT EXISTS (SELECT FROM {s}.worker WHERE id = $1)
        AND NOT EXISTS (SELECT FROM {s}.lease WHERE worker = $1)";
    sqlx::query(shared.sql.of(DELETE)).bind(dead.0).bind(gone).execute(&mut *connection).await?;
    let fenced =
        sqlx::query_scalar::<_, bool>(shared.sql.of(LEFT)).bind(dead.0).fetch_one(connection).await?;
    Ok(fenced)
}

/// The attempts that it ran for others are lost: their executions are told.
pub(super) async fn lose_tasks(
    connection: &mut PgConnection,
    shared: &Shared,
    dead: Incarnation,
) -> Result<(), Trouble> {
    // The executions first, then the tasks, each in the order of their keys (PROTOCOL 95).
    const LOSE: &str = concat!(
        "WITH receivers AS MATERIALIZED (
            SELECT id, status FROM {s}.execution
            WHERE id IN (SELECT execution FROM {s}.task WHERE owner = $1) AND status < 10
            ORDER BY id FOR KEY SHARE),
        held AS MATERIALIZED (
            SELECT execution, activity FROM {s}.task WHERE owner = $1 AND (SELECT count(*) FROM receivers) >= 0
            ORDER BY execution, activity FOR UPDATE),
        gone AS (
            DELETE FROM {s}.task t USING held h WHERE t.execution = h.execution AND t.activity = h.activity
            RETURNING t.execution, t.activity, t.attempt, t.details)
        INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
        SELECT ",
        outcome_row!("g.", "$2"),
        ", {now}, r.status ",
        parking_statuses!(),
        " FROM gone g JOIN receivers r ON r.id = g.execution
        ON CONFLICT DO NOTHING"
    );
    let lose = sqlx::query(shared.sql.of(LOSE)).bind(dead.0).bind(outcome_json(&lost()));
    lose.execute(connection).await?;
    Ok(())
}

pub(super) const FREE: &str = concat!(
    "UPDATE {s}.execution e SET ",
    taken_over_columns!(),
    "
        FROM (SELECT id FROM {s}.execution WHERE owner = $1 LIMIT $3 FOR NO KEY UPDATE) o
        WHERE e.id = o.id AND e.owner = $1 RETURNING e.id"
);

/// Deletes the messages to closed executions that have lost their owner, since no worker will read them. Asked
/// after it was set free, by a younger look: until then a terminate may have told its owner.
async fn forget_closed(
    connection: &mut PgConnection,
    shared: &Shared,
    freed: &[PgRow],
) -> Result<(), Trouble> {
    const CLOSED: &str = "DELETE FROM {s}.inbox i USING {s}.execution e
        WHERE i.execution = e.id AND e.id = ANY($1) AND e.status >= 10 AND i.kind <> 2";
    let ids = freed.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<i64>>>()?;
    if !ids.is_empty() {
        sqlx::query(shared.sql.of(CLOSED)).bind(ids).execute(connection).await?;
    }
    Ok(())
}

/// Sets some of what it owned free; the crash counter rises for what was running. With nothing left its row goes.
pub(super) async fn set_free(
    connection: &mut PgConnection,
    shared: &Shared,
    dead: Incarnation,
    now: i64,
) -> Result<u64, Trouble> {
    const LAST: &str = "DELETE FROM {s}.worker w WHERE id = $1
        AND NOT EXISTS (SELECT FROM {s}.execution WHERE owner = $1) AND NOT EXISTS (SELECT FROM {s}.task \
        WHERE owner = $1)
        AND NOT EXISTS (SELECT FROM {s}.lease WHERE worker = $1)";
    let free = sqlx::query(shared.sql.of(FREE)).bind(dead.0).bind(now).bind(FREE_AT_ONCE as i64);
    let freed = free.fetch_all(&mut *connection).await?;
    forget_closed(&mut *connection, shared, &freed).await?;
    if freed.is_empty() {
        sqlx::query(shared.sql.of(LAST)).bind(dead.0).execute(connection).await?;
    }
    Ok(freed.len() as u64)
}

/// A clean leave is no crash: nothing is counted, and what was left behind is due at once.
pub(super) async fn leave(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
) -> Result<(), Trouble> {
    const LEAVE: &str =
        concat!("UPDATE {s}.execution SET ", left_columns!(), " WHERE owner = $1 RETURNING id");
    let lease = sqlx::query(shared.sql.of("DELETE FROM {s}.lease WHERE worker = $1")).bind(owner.0);
    lease.execute(&mut *connection).await?;
    let freed = sqlx::query(shared.sql.of(LEAVE)).bind(owner.0).bind(shared.clock.now_ms());
    let freed = freed.fetch_all(&mut *connection).await?;
    lose_tasks(connection, shared, owner).await?;
    forget_closed(&mut *connection, shared, &freed).await?;
    sqlx::query(shared.sql.of("DELETE FROM {s}.worker WHERE id = $1"))
        .bind(owner.0)
        .execute(connection)
        .await?;
    Ok(())
}
