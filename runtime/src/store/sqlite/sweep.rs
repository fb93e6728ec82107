//! Parked messages: given back, and corrected (PROTOCOL 97). The write lock makes looking at a status and
//! parking one step.

use super::limit::{TO_FORGET, forget};
use super::reports;
use super::store::SqliteStore;
use crate::store::decide::{parkable_kinds, parking_statuses};
use crate::store::{Orphans, SWEEP_AT_ONCE, StoreFuture, Sweep};
use sqlx::SqliteConnection;

/// Gives the parked messages of these executions, a JSON array, back.
pub(super) async fn unpark(connection: &mut SqliteConnection, executions: &str) -> sqlx::Result<()> {
    const UNPARK: &str = "UPDATE inbox SET parked = 0
        WHERE execution IN (SELECT value FROM json_each(?)) AND parked";
    sqlx::query(UNPARK).bind(executions).execute(connection).await.map(drop)
}

/// What a run that was suspended since has not read.
macro_rules! to_park {
    () => {
        concat!(
            "SELECT i.id FROM inbox i INDEXED BY inbox_unparked CROSS JOIN execution e ON e.id = i.execution
    WHERE NOT i.parked AND i.kind ",
            parkable_kinds!(),
            " AND e.status ",
            parking_statuses!()
        )
    };
}

/// What a run that goes on has not read.
macro_rules! to_give_back {
    () => {
        concat!(
            "SELECT i.id FROM inbox i CROSS JOIN execution e ON e.id = i.execution
    WHERE i.parked AND NOT e.status ",
            parking_statuses!()
        )
    };
}

/// Most sweeps find nothing, so a reader looks first: it holds up no commit.
pub(super) const IS_WRONG: &str = concat!(
    "SELECT EXISTS (",
    to_park!(),
    ") OR EXISTS (",
    to_give_back!(),
    ") OR EXISTS (SELECT 1 FROM inbox WHERE execution < 0
    AND NOT EXISTS (SELECT 1 FROM schedule s WHERE s.number = inbox.execution))"
);

/// `$1` the most.
pub(super) const PARK: &str = concat!("UPDATE inbox SET parked = 1 WHERE id IN (", to_park!(), " LIMIT $1)");

/// `$1` the most.
const GIVE_BACK: &str = concat!("UPDATE inbox SET parked = 0 WHERE id IN (", to_give_back!(), " LIMIT $1)");

impl Sweep for SqliteStore {
    fn sweep(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let now = self.shared.clock.now_ms();
            let look = self.reading(async |readers| {
                let forgets =
                    sqlx::query(TO_FORGET).bind(now).bind(1).fetch_optional(readers).await?.is_some();
                Ok(forgets || sqlx::query_scalar(IS_WRONG).fetch_one(readers).await?)
            });
            if !look.await? {
                return Ok(0);
            }
            self.call(move |connection| Box::pin(async move { Ok(correct(connection, now).await?) })).await
        })
    }

    fn tell_orphans(&self) -> StoreFuture<'_, Orphans> {
        self.orphans()
    }
}

async fn correct(connection: &mut SqliteConnection, now: i64) -> sqlx::Result<u64> {
    let mut most = forget(connection, now, SWEEP_AT_ONCE.cast_signed()).await?;
    sqlx::query(reports::SWEEP).execute(&mut *connection).await?;
    for correct in [PARK, GIVE_BACK] {
        let correct = sqlx::query(correct).bind(SWEEP_AT_ONCE.cast_signed());
        most = correct.execute(&mut *connection).await?.rows_affected().max(most);
    }
    Ok(most)
}
