//! What the victim runs for the crash tests of transactional activities, and how it is made to die in the
//! middle of one.
//!
//! `VICTIM_ABORT_AT` names a stage of the attempt's transaction (see [`STAGES`]), `VICTIM_ABORT_CALL` the how
//! many-th time it is reached; `VICTIM_DATABASE` is the URL, where it is not the folder's SQLite file.

use abide::__private::{FaultHook, Stage};
use abide::prelude::*;
use sqlx::{PgConnection, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The task queue of everything here.
pub(crate) const QUEUE: &str = "transactions";

/// The user's table: nothing in it forbids a second row for one activity.
#[allow(dead_code)] // the tests make it
pub(crate) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS booked (key TEXT NOT NULL, attempt BIGINT NOT NULL, n BIGINT NOT NULL)";

/// Every boundary between two statements of an attempt's transaction.
pub(crate) const STAGES: [(&str, Stage); 6] = [
    ("begins", Stage::AttemptBegins),
    ("ends", Stage::AttemptEnds),
    ("token-taken", Stage::TokenTaken),
    ("outcome-kept", Stage::OutcomeKept),
    ("fence-passed", Stage::FencePassed),
    ("committed", Stage::AttemptCommitted),
];

/// Books a row; gives how many there are of this activity, itself included.
#[activity(transactional, start_to_close = "60s")]
pub(crate) async fn book(tx: &mut SqliteConnection, n: i64) -> Result<i64, Failure> {
    let run = abide::activity::context();
    let insert = sqlx::query("INSERT INTO booked (key, attempt, n) VALUES ($1, $2, $3)");
    insert.bind(run.idempotency_key()).bind(i64::from(run.attempt())).bind(n).execute(&mut *tx).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM booked WHERE key = $1");
    Ok(count.bind(run.idempotency_key()).fetch_one(tx).await?)
}

/// The same on the other database.
#[activity(transactional, start_to_close = "60s")]
pub(crate) async fn book_on_server(tx: &mut PgConnection, n: i64) -> Result<i64, Failure> {
    let run = abide::activity::context();
    let insert = sqlx::query("INSERT INTO booked (key, attempt, n) VALUES ($1, $2, $3)");
    insert.bind(run.idempotency_key()).bind(i64::from(run.attempt())).bind(n).execute(&mut *tx).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM booked WHERE key = $1");
    Ok(count.bind(run.idempotency_key()).fetch_one(tx).await?)
}

/// Books one after the other, then some at once.
#[workflow]
pub(crate) async fn bookings(n: i64, steps: i64, on_server: bool) -> Result<i64, Failure> {
    let mut rows = 0;
    for k in 0..steps {
        rows += booked(100 * n + k, on_server).await?;
    }
    let at_once = (steps..2 * steps).map(|k| booked(100 * n + k, on_server));
    for counted in futures::future::join_all(at_once).await {
        rows += counted?;
    }
    Ok(rows)
}

#[workflow::helper]
async fn booked(n: i64, on_server: bool) -> Result<i64, Failure> {
    match on_server {
        true => Ok(book_on_server(n).await?),
        false => Ok(book(n).await?),
    }
}

/// Ends the process, without a word, where the environment says so.
#[allow(dead_code)] // the tests include this file for its workflow
pub(crate) fn death() -> Option<FaultHook> {
    let wanted = std::env::var("VICTIM_ABORT_AT").ok()?;
    let (_, at) = STAGES.into_iter().find(|(name, _)| *name == wanted)?;
    let call = std::env::var("VICTIM_ABORT_CALL").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let reached = AtomicU64::new(0);
    Some(Arc::new(move |stage| {
        if stage == at && reached.fetch_add(1, Ordering::SeqCst) + 1 == call {
            std::process::abort();
        }
        None
    }))
}

/// A worker of all this.
#[allow(dead_code)] // see above
pub(crate) fn worker(abide: &Abide, on_server: bool) -> abide::WorkerBuilder {
    let builder = abide.worker(QUEUE).workflow(bookings);
    if on_server { builder.activity(book_on_server) } else { builder.activity(book) }
}
