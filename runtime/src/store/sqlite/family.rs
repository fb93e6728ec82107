//! What a close means for a run's children, and an end from outside for its parent (PROTOCOL 54, 55).

use super::store::SqliteStore;
use crate::store::decide::{PARENT_CLOSED, PARENT_CLOSED_BODY, SLICE, parks_sql};
use crate::store::{Orphans, StoreFuture};
use sqlx::SqliteConnection;

/// The report of a run that was ended from outside: `$1` the run, `$2` the end, `$3` now.
pub(super) const REPORT_ENDED: &str = "
INSERT INTO inbox (execution, kind, request_id, body, at)
SELECT e.parent, 7, 'child/' || e.child_no, '{\"child\":' || e.child_no || ',\"end\":' || $2 || '}', $3
FROM execution e CROSS JOIN execution p ON p.id = e.parent
WHERE e.id = $1 AND p.status < 10 AND e.next IS NULL
ON CONFLICT DO NOTHING";

/// Closed runs whose children are still to be told: `$1` the most.
pub(super) const ORPHANED: &str = "SELECT id FROM execution WHERE orphans ORDER BY id LIMIT $1";

/// The open children of `$1` with a policy, at most `$2`.
macro_rules! few {
    ($columns:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM execution k WHERE k.parent = $1 AND k.status < 10 AND k.close_policy > 0 ORDER BY k.id LIMIT $2"
        )
    };
}

/// `$3` now, `$4` the messages' body, `$5` their key.
pub(super) const TELL: &str = concat!(
    "INSERT INTO inbox (execution, kind, request_id, body, at, parked)
SELECT f.id, f.kind, $5, $4, $3, ",
    parks_sql!("f.status", "f.kind"),
    " FROM (",
    few!("k.id, k.status, CASE k.close_policy WHEN 2 THEN 8 ELSE 1 END AS kind"),
    ") f WHERE true ON CONFLICT DO NOTHING"
);

pub(super) const TOLD: &str =
    concat!("UPDATE execution SET close_policy = 0 WHERE id IN (", few!("k.id"), ")");

/// Takes the mark from a run that has no open child with a policy any more.
pub(super) const FORGET: &str = "UPDATE execution SET orphans = 0
WHERE id = $1 AND NOT EXISTS (
    SELECT 1 FROM execution k WHERE k.parent = $1 AND k.status < 10 AND k.close_policy > 0)";

async fn tell(connection: &mut SqliteConnection, now: i64) -> sqlx::Result<Orphans> {
    let mut orphans = Orphans::default();
    let runs = sqlx::query_scalar::<_, i64>(ORPHANED).bind(SLICE).fetch_all(&mut *connection).await?;
    for run in runs {
        let tell = sqlx::query(TELL).bind(run).bind(SLICE).bind(now).bind(PARENT_CLOSED_BODY);
        tell.bind(PARENT_CLOSED).execute(&mut *connection).await?;
        let told = sqlx::query(TOLD).bind(run).bind(SLICE).execute(&mut *connection).await?;
        orphans.told += told.rows_affected();
        let forgotten = sqlx::query(FORGET).bind(run).execute(&mut *connection).await?;
        orphans.left += u64::from(forgotten.rows_affected() == 0);
    }
    Ok(orphans)
}

impl SqliteStore {
    /// See [`Sweep::tell_orphans`](crate::store::Sweep::tell_orphans). Most calls find nothing, so a reader looks
    /// first.
    pub(super) fn orphans(&self) -> StoreFuture<'_, Orphans> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let look = self.reading(async |readers| {
                sqlx::query_scalar::<_, i64>(ORPHANED).bind(1).fetch_optional(readers).await
            });
            if look.await?.is_none() {
                return Ok(Orphans::default());
            }
            self.telling(move |connection| Box::pin(async move { Ok(tell(connection, now).await?) })).await
        })
    }
}
