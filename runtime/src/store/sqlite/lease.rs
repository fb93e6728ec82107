//! Workers: incarnations, leases, and take-over (PROTOCOL 12-14, 18, 19).
//!
//! A worker whose lock file is free is gone. A live one is taken over only after its lease has run out, and
//! only by a process that was able to write all that time: a lock that another program holds stalls all
//! processes alike.

use super::life::{LifeLock, is_free, lock_path};
use super::schema::version;
use super::store::SqliteStore;
use super::{claim, task};
use crate::store::decide::{left_columns, taken_over_columns};
use crate::store::owner::{DeadWorker, FREE_AT_ONCE};
use crate::store::{
    Claim, Claimed, ClaimedEnds, Deaths, ExecutionRow, Ownership, StoreError, StoreFuture, Trouble,
    WorkerInfo,
};
use abide_core::{ExecutionId, Incarnation};
use sqlx::{Row, SqliteConnection};

impl Ownership for SqliteStore {
    fn register(&self, info: WorkerInfo) -> StoreFuture<'_, Incarnation> {
        Box::pin(async move {
            let name = uuid::Uuid::now_v7().simple().to_string();
            let lock =
                LifeLock::take(lock_path(&self.shared.path, &name)).map_err(|error| StoreError::Open {
                    path: self.shared.path.display().to_string(),
                    message: format!("no lock file can be made beside it: {error}"),
                    source: Some(std::sync::Arc::new(error)),
                })?;
            let now = self.shared.clock.now_ms();
            let (lease_ms, skew) =
                (self.shared.options.lease.as_millis() as i64, self.shared.options.skew_ms());
            let id = self.call(move |connection| {
                Box::pin(async move {
                    let insert = "INSERT INTO worker
                        (name, build, queue, types, lock_file, started_at, schema) VALUES (?, ?, ?, ?, ?, ?, ?)";
                    let insert = sqlx::query(insert)
                        .bind(info.name)
                        .bind(info.build)
                        .bind(info.queue)
                        .bind(serde_json::to_string(&info.types).unwrap_or_default())
                        .bind(name)
                        .bind(now)
                        .bind(version());
                    let id = insert.execute(&mut *connection).await?.last_insert_rowid();
                    let lease = "INSERT INTO lease (worker, slot, lease_until) VALUES (?, 0, ?)";
                    let until = database_now(&mut *connection, skew).await? + lease_ms;
                    sqlx::query(lease).bind(id).bind(until).execute(connection).await?;
                    Ok(id)
                })
            });
            match id.await {
                Ok(id) => {
                    self.shared.life_locks().insert(id, lock);
                    Ok(Incarnation(id))
                }
                Err(error) => {
                    lock.leave();
                    Err(error)
                }
            }
        })
    }

    fn renew(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (lease_ms, skew) =
                (self.shared.options.lease.as_millis() as i64, self.shared.options.skew_ms());
            let now = self.call(move |connection| {
                Box::pin(async move {
                    let now = database_now(&mut *connection, skew).await?;
                    let renew = sqlx::query("UPDATE lease SET lease_until = ? WHERE worker = ?");
                    let renew = renew.bind(now + lease_ms).bind(owner.0);
                    match renew.execute(connection).await?.rows_affected() {
                        0 => Err(Trouble::Refused(StoreError::Fenced)),
                        _ => Ok(now),
                    }
                })
            });
            self.shared.clock.set(now.await?);
            Ok(())
        })
    }

    fn unregister(&self, owner: Incarnation) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let now = self.shared.clock.now_ms();
            let left = self.call(move |connection| Box::pin(leave(connection, owner, now)));
            let left = left.await;
            // Whether or not the database could be written: this process is not that worker any more, and the
            // free lock says so.
            let lock = self.shared.life_locks().remove(&owner.0);
            if let (Some(lock), Ok(())) = (lock, &left) {
                lock.leave();
            }
            if left.is_ok() {
                self.shared.tick();
            }
            left
        })
    }

    fn dead(&self) -> StoreFuture<'_, Deaths> {
        Box::pin(async move {
            let query = "SELECT w.id, w.name, w.lock_file, min(l.lease_until) FROM worker w
            LEFT JOIN lease l ON l.worker = w.id GROUP BY w.id";
            let rows = self.reading(async |readers| sqlx::query(query).fetch_all(readers).await).await?;
            let leases: Vec<(i64, i64)> =
                rows.iter().filter_map(|r| Some((r.get(0), r.get::<Option<_>, _>(3)?))).collect();
            let unrenewed = self.shared.unrenewed(&leases);
            let mut dead = Vec::new();
            for row in &rows {
                let id: i64 = row.get(0);
                let until: Option<i64> = row.get(3);
                // Its lease is gone but it is not: a take-over was begun and not finished.
                let fenced = until.is_none();
                let mine = self.shared.life_locks().contains_key(&id);
                let gone = !mine && is_free(&lock_path(&self.shared.path, row.get(2)));
                // Not by the wall clock, which may have been set: by how long it was not renewed, as seen from here.
                let late = !mine && unrenewed.contains(&id) && self.shared.is_calm();
                if gone || late || fenced {
                    dead.push(DeadWorker { incarnation: Incarnation(id), name: row.get(1), gone });
                }
            }
            Ok(Deaths { dead, next: None })
        })
    }

    /// Fence first and commit, then read (PROTOCOL 14); the worker's row goes last, so that anybody can finish.
    fn take_over(&self, dead: Incarnation) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let name =
                sqlx::query_scalar::<_, String>("SELECT lock_file FROM worker WHERE id = ?").bind(dead.0);
            let name = self.reading(async move |readers| name.fetch_optional(readers).await);
            let Some(name) = name.await? else { return Ok(0) };
            let lock = lock_path(&self.shared.path, &name);
            let gone = !self.shared.life_locks().contains_key(&dead.0) && is_free(&lock);
            let late = self.shared.late(dead.0);
            if !self.call(move |connection| Box::pin(fence_out(connection, dead, gone, late))).await? {
                return Ok(0);
            }
            let mut freed = 0;
            loop {
                let now = self.shared.clock.now_ms();
                let (some, done) =
                    self.call(move |connection| Box::pin(set_free(connection, dead, now))).await?;
                freed += some;
                if done {
                    break;
                }
            }
            if gone {
                // Its name is never used again and its worker's row is gone, so no process will look for this file.
                drop(std::fs::remove_file(lock));
            }
            self.shared.tick();
            Ok(freed)
        })
    }

    fn claim(&self, claim: Claim) -> StoreFuture<'_, Claimed> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |c| Box::pin(claim::claim(c, claim, now))))
    }

    fn claim_offered(&self, claim: Claim) -> StoreFuture<'_, Vec<ExecutionRow>> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |c| Box::pin(claim::claim_offered(c, claim, now))))
    }

    fn claim_ends(&self, owner: Incarnation, limit: u32) -> StoreFuture<'_, ClaimedEnds> {
        Box::pin(self.end_claim(owner, limit))
    }

    fn owned(&self, owner: Incarnation) -> StoreFuture<'_, Vec<ExecutionId>> {
        Box::pin(self.reading(async move |readers| {
            let ids = sqlx::query_scalar("SELECT id FROM execution WHERE owner = ?").bind(owner.0);
            Ok(ids.fetch_all(readers).await?.into_iter().map(ExecutionId).collect())
        }))
    }

    fn served(&self, queue: String) -> StoreFuture<'_, Vec<Vec<String>>> {
        const SERVED: &str = "SELECT w.types FROM worker w WHERE w.queue = ?
            AND EXISTS (SELECT 1 FROM lease l WHERE l.worker = w.id AND l.lease_until > ?)";
        let types = sqlx::query_scalar::<_, String>(SERVED).bind(queue).bind(self.shared.clock.now_ms());
        Box::pin(self.reading(async move |readers| {
            let types = types.fetch_all(readers).await?;
            // A list that does not read counts as an empty one.
            Ok(types.iter().map(|types| serde_json::from_str(types).unwrap_or_default()).collect())
        }))
    }
}

/// The database's clock, in ms.
async fn database_now(connection: &mut SqliteConnection, skew_ms: i64) -> sqlx::Result<i64> {
    let now = sqlx::query_scalar::<_, i64>("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)");
    Ok(now.fetch_one(connection).await? + skew_ms)
}

/// Deletes the lease, whatever it still appends is refused. False: it has renewed it meanwhile. `late`: what
/// the lease was when it began to be late.
async fn fence_out(
    connection: &mut SqliteConnection,
    dead: Incarnation,
    gone: bool,
    late: Option<i64>,
) -> Result<bool, Trouble> {
    let delete = "DELETE FROM lease WHERE worker = ? AND (lease_until = ? OR ?)";
    sqlx::query(delete).bind(dead.0).bind(late).bind(gone).execute(&mut *connection).await?;
    let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM lease WHERE worker = ?").bind(dead.0);
    Ok(left.fetch_one(connection).await? == 0)
}

/// Deletes the messages to closed executions that are about to lose their owner, since no worker will read them.
async fn forget_closed(connection: &mut SqliteConnection, owner: Incarnation) -> Result<(), Trouble> {
    let closed = "DELETE FROM inbox
        WHERE execution IN (SELECT id FROM execution WHERE owner = ? AND status >= 10) AND kind <> 2";
    sqlx::query(closed).bind(owner.0).execute(connection).await?;
    Ok(())
}

/// A clean leave: what was left behind is due at once.
async fn leave(connection: &mut SqliteConnection, owner: Incarnation, now: i64) -> Result<(), Trouble> {
    const LEAVE: &str = concat!("UPDATE execution SET ", left_columns!(), " WHERE owner = $1");
    sqlx::query("DELETE FROM lease WHERE worker = ?").bind(owner.0).execute(&mut *connection).await?;
    forget_closed(&mut *connection, owner).await?;
    sqlx::query(LEAVE).bind(owner.0).bind(now).execute(&mut *connection).await?;
    task::lose(connection, owner, now, i64::MAX).await?;
    sqlx::query("DELETE FROM worker WHERE id = ?").bind(owner.0).execute(connection).await?;
    Ok(())
}

const FREE: &str = concat!(
    "UPDATE execution SET ",
    taken_over_columns!(),
    " WHERE id IN (SELECT id FROM execution WHERE owner = $1 LIMIT $3)"
);

/// Sets some of what it owned free; the crash counter rises for what was running. The attempts that it ran
/// for others are lost. With nothing left its row goes, and true comes with the count.
async fn set_free(
    connection: &mut SqliteConnection,
    dead: Incarnation,
    now: i64,
) -> Result<(u64, bool), Trouble> {
    forget_closed(&mut *connection, dead).await?;
    let free = sqlx::query(FREE).bind(dead.0).bind(now).bind(FREE_AT_ONCE as i64);
    let free = free.execute(&mut *connection).await?;
    let lost = task::lose(connection, dead, now, FREE_AT_ONCE as i64).await?;
    let done = free.rows_affected() == 0 && lost == 0;
    if done {
        sqlx::query("DELETE FROM worker WHERE id = ?").bind(dead.0).execute(connection).await?;
    }
    Ok((free.rows_affected(), done))
}
