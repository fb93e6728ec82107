//! Parked messages: given back, and corrected (PROTOCOL 97).

use super::limit::FORGET;
use super::reports;
use super::shared::Shared;
use super::store::PostgresStore;
use crate::store::decide::{parkable_kinds, parking_statuses};
use crate::store::{Orphans, SWEEP_AT_ONCE, StoreFuture, Sweep};
use sqlx::PgConnection;

/// Gives the parked messages of these executions back. By a statement of its own, after the one that has
/// changed their statuses under a lock `FOR UPDATE`: its snapshot has what every earlier sender has parked,
/// and a later sender sees the new status.
pub(super) async fn unpark(
    connection: &mut PgConnection,
    shared: &Shared,
    executions: &[i64],
) -> sqlx::Result<()> {
    const UNPARK: &str = "UPDATE {s}.inbox SET parked = false WHERE execution = ANY($1) AND parked";
    sqlx::query(shared.sql.of(UNPARK)).bind(executions).execute(connection).await.map(drop)
}

/// `$1` the most. The lock of a sender keeps the execution as it is until the messages are parked. It waits
/// for no lock.
pub(super) const PARK: &str = concat!(
    "WITH held AS MATERIALIZED (
    SELECT e.id FROM {s}.execution e
    WHERE e.status ",
    parking_statuses!(),
    " AND e.id IN (SELECT i.execution FROM {s}.inbox i WHERE NOT i.parked AND i.kind ",
    parkable_kinds!(),
    ")
    ORDER BY e.id LIMIT $1 FOR KEY SHARE SKIP LOCKED),
wrong AS MATERIALIZED (
    SELECT i.id FROM {s}.inbox i JOIN held h ON h.id = i.execution
    WHERE NOT i.parked AND i.kind ",
    parkable_kinds!(),
    "
    LIMIT $1 FOR NO KEY UPDATE OF i SKIP LOCKED)
UPDATE {s}.inbox i SET parked = true FROM wrong w WHERE i.id = w.id"
);

/// `$1` the most.
const GIVE_BACK: &str = concat!(
    "WITH wrong AS MATERIALIZED (
    SELECT i.id FROM {s}.inbox i JOIN {s}.execution e ON e.id = i.execution
    WHERE i.parked AND NOT e.status ",
    parking_statuses!(),
    "
    LIMIT $1 FOR NO KEY UPDATE OF i SKIP LOCKED)
UPDATE {s}.inbox i SET parked = false FROM wrong w WHERE i.id = w.id"
);

impl Sweep for PostgresStore {
    fn sweep(&self) -> StoreFuture<'_, u64> {
        Box::pin(self.once(|shared, connection| {
            Box::pin(async move {
                let mut most = 0;
                sqlx::query(shared.sql.of(reports::SWEEP)).execute(&mut *connection).await?;
                for correct in [PARK, GIVE_BACK, FORGET] {
                    let correct = sqlx::query(shared.sql.of(correct)).bind(SWEEP_AT_ONCE.cast_signed());
                    most = correct.execute(&mut *connection).await?.rows_affected().max(most);
                }
                Ok(most)
            })
        }))
    }

    fn tell_orphans(&self) -> StoreFuture<'_, Orphans> {
        self.orphans()
    }
}
