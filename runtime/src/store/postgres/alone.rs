//! A close whose row other sessions keep locked goes alone: it waits for the row, on a connection of its own (PROTOCOL 96).
//!
//! A guard only tries the rows that close, since whoever waits holds up a whole batch. Clients that keep signalling a run could keep
//! its close out for ever: a try needs a moment without any lock on the row, and who waits in line does not.

use super::batch::Batch;
use super::failure::kind;
use super::guard::Locks;
use super::open;
use super::shared::Shared;
use super::writer::{NO_ANSWER, again, tell_committed, write_batch};
use crate::store::group::Kind;
use crate::store::{Ack, Append, AppendOutcome, Counters};
use sqlx::{Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// How long the row is waited for. The deadlock detector's second is as long: nobody is kept waiting by this for longer.
const PATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '1s'";
/// When it is asked who holds the row.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// What became of the close.
enum Went {
    Done,
    /// A message waits.
    Conflict,
    /// It was not had: it is tried again later, as before.
    Later,
}

/// Closes, or puts the append back into the queue. Whatever breaks here, the queue's next try finds out by the journal's key whether it is
/// in.
pub(super) async fn close_alone(shared: &Arc<Shared>, slot: i16, mut append: Append, ack: Ack) {
    let went = tokio::time::timeout(NO_ANSWER, close(shared, slot, &append)).await;
    match went {
        Ok(Ok(Went::Done)) => {
            let counters = &shared.counters;
            for count in [&counters.commits, &counters.batches, &counters.appends] {
                Counters::add(count, 1);
            }
            tell_committed(shared, std::iter::once(&append));
            ack(Ok(AppendOutcome::Done));
        }
        Ok(Ok(Went::Conflict)) => ack(Ok(AppendOutcome::Conflict)),
        Ok(Ok(Went::Later) | Err(_)) | Err(_) => {
            append.tries = append.tries.saturating_add(1);
            again(shared, append, ack);
        }
    }
}

async fn close(shared: &Shared, slot: i16, append: &Append) -> Result<Went, sqlx::Error> {
    let mut connection = open::connect(&shared.options.connect, "close").await?;
    connection.execute(sqlx::raw_sql(PATIENT)).await?;
    match lock(shared, &mut connection, append).await {
        Ok(()) => {}
        Err(error) if kind(&error) == Kind::Busy => return Ok(Went::Later),
        Err(error) => return Err(error),
    }
    let Some(locks) = Locks::of(shared, std::iter::once(append)) else { return Ok(Went::Later) };
    // The row is held: what the guard asks is whether a message is there, by a younger look.
    let guarded = locks.take_within(&mut connection).await?;
    if guarded.conflicts.contains(&append.execution) {
        return Ok(Went::Conflict);
    }
    if guarded.leaves_out(append.execution) {
        return Ok(Went::Later);
    }
    write_batch(&mut connection, shared, Batch::of(std::iter::once(append)), slot).await?;
    connection.execute(sqlx::raw_sql("COMMIT")).await?;
    Ok(Went::Done)
}

/// Waits for the row in line with everybody else. Who holds it is told in the log, where that takes long.
async fn lock(shared: &Shared, connection: &mut PgConnection, append: &Append) -> Result<(), sqlx::Error> {
    const LOCK: &str = "SELECT 1 FROM {s}.execution WHERE id = $1 FOR UPDATE";
    let me: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await?;
    let mut locked =
        std::pin::pin!(sqlx::query(shared.sql.of(LOCK)).bind(append.execution.0).execute(connection));
    tokio::select! {
        biased;
        locked = &mut locked => return locked.map(drop),
        () = tokio::time::sleep(LOOK_AFTER) => {}
    }
    let (holders, locked) = tokio::join!(holders(shared, me), locked);
    if locked.is_err() {
        tracing::warn!(
            code = "AB0515",
            execution = %append.execution,
            holders = ?holders.unwrap_or_default(),
            "AB0515: a run cannot close: other sessions hold its row (their process ids are in `holders`); is a transaction \
             of yours open that has signalled it?"
        );
    }
    locked.map(drop)
}

/// The server's processes that another one waits for.
async fn holders(shared: &Shared, waiting: i32) -> Result<Vec<i32>, sqlx::Error> {
    let mut connection = open::connect(&shared.options.connect, "close").await?;
    sqlx::query_scalar("SELECT pg_blocking_pids($1)").bind(waiting).fetch_one(&mut connection).await
}
