//! What a close means for a run's children, and an end from outside for its parent (PROTOCOL 54, 55).

use super::shared::Shared;
use super::store::PostgresStore;
use crate::store::decide::{Concerned, Notify, PARENT_CLOSED, PARENT_CLOSED_BODY, SLICE, parks_sql};
use crate::store::{Orphans, StoreFuture};
use abide_core::Incarnation;
use sqlx::{PgConnection, Row};

/// The report of a run that was ended from outside: `$1` the run, `$2` the end, `$3` now. The owner and the task queue
/// of the parent come back.
pub(super) const REPORT_ENDED: &str = "WITH reported AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
    SELECT e.parent, 7, 'child/' || e.child_no, '{\"child\":' || e.child_no || ',\"end\":' || $2::text || '}', $3
    FROM {s}.execution e JOIN {s}.execution p ON p.id = e.parent AND p.status < 10
    WHERE e.id = $1 AND e.next IS NULL
    ON CONFLICT DO NOTHING RETURNING execution)
SELECT p.owner, p.queue FROM {s}.execution p WHERE p.id IN (SELECT execution FROM reported)";

/// Closed runs whose children are still to be told: `$1` the most.
pub(super) const ORPHANED: &str = "SELECT id FROM {s}.execution WHERE orphans ORDER BY id LIMIT $1";

/// A slice of the children of one run: `$1` the run, `$2` now, `$3` the messages' body, `$4` their key, `$5` the most.
/// It waits for no lock. How many, and whom it concerns.
pub(super) const TELL: &str = concat!(
    "WITH few AS MATERIALIZED (
    SELECT id, close_policy, owner, queue, status FROM {s}.execution
    WHERE parent = $1 AND status < 10 AND close_policy > 0
    ORDER BY id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT f.id, f.kind, $4, $3, $2, ",
    parks_sql!("f.status", "f.kind"),
    "
    FROM (SELECT id, status, CASE close_policy WHEN 2 THEN 8 ELSE 1 END AS kind FROM few) f
    ON CONFLICT DO NOTHING),
done AS (UPDATE {s}.execution e SET close_policy = 0 FROM few f WHERE e.id = f.id RETURNING e.id)
SELECT (SELECT count(*) FROM done), ARRAY(SELECT DISTINCT owner FROM few WHERE owner IS NOT NULL),
    ARRAY(SELECT DISTINCT queue FROM few WHERE owner IS NULL)"
);

/// Takes the mark from a run that has no open child with a policy any more: `$1` the run. After its close no run gets
/// it as its parent but the successor of a child, in the statement that closes that child.
pub(super) const FORGET: &str = "UPDATE {s}.execution SET orphans = false
    WHERE id = $1 AND NOT EXISTS (
        SELECT FROM {s}.execution k WHERE k.parent = $1 AND k.status < 10 AND k.close_policy > 0)";

/// What a mutant does instead.
const FORGET_EARLY: &str = "UPDATE {s}.execution SET orphans = false WHERE id = $1";

/// One slice of the children of a run that is marked; how many were told.
pub(super) async fn tell_children(
    connection: &mut PgConnection,
    shared: &Shared,
    (run, now): (i64, i64),
    concerned: &mut Concerned,
) -> sqlx::Result<u64> {
    let told = sqlx::query(shared.sql.of(TELL)).bind(run).bind(now).bind(PARENT_CLOSED_BODY);
    let told = told.bind(PARENT_CLOSED).bind(SLICE).fetch_one(connection).await?;
    concerned.owners.extend(told.try_get::<Vec<i64>, _>(1)?.into_iter().map(Incarnation));
    concerned.queues.extend(told.try_get::<Vec<String>, _>(2)?);
    Ok(told.try_get::<i64, _>(0)?.unsigned_abs())
}

/// Takes the mark of a run away, unless children are still to be told. Whether it did.
pub(super) async fn forget(connection: &mut PgConnection, shared: &Shared, run: i64) -> sqlx::Result<bool> {
    let forget = if mutant!(ClearOrphansEarly) { FORGET_EARLY } else { FORGET };
    let forgotten = sqlx::query(shared.sql.of(forget)).bind(run).execute(connection).await?;
    Ok(forgotten.rows_affected() > 0)
}

/// One slice for each of some runs. Each statement is a transaction of its own.
async fn tell(
    connection: &mut PgConnection,
    shared: &Shared,
    now: i64,
) -> sqlx::Result<(Orphans, Concerned)> {
    let (mut orphans, mut concerned) = (Orphans::default(), Concerned::default());
    let runs =
        sqlx::query_scalar::<_, i64>(shared.sql.of(ORPHANED)).bind(SLICE).fetch_all(&mut *connection).await?;
    for run in runs {
        orphans.told += tell_children(connection, shared, (run, now), &mut concerned).await?;
        orphans.left += u64::from(!forget(connection, shared, run).await?);
    }
    Ok((orphans, concerned))
}

impl PostgresStore {
    /// See [`Sweep::tell_orphans`](crate::store::Sweep::tell_orphans).
    pub(super) fn orphans(&self) -> StoreFuture<'_, Orphans> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let told = self.once(move |shared, connection| {
                Box::pin(async move { Ok(tell(connection, shared, now).await?) })
            });
            let (orphans, concerned) = told.await?;
            self.shared.notify_concerned(&concerned);
            if orphans.told > 0 {
                // Any worker may end a run that has no owner.
                self.shared.notify_workers();
            }
            Ok(orphans)
        })
    }
}
