//! A close whose row other sessions keep locked goes alone: it waits for the row, on a connection of its own
//! (PROTOCOL 96).
//!
//! A guard only tries the rows that close, since a wait delays a whole batch. Clients that keep
//! signalling a run could keep its close out for ever: a try needs a moment without any lock on the row, and
//! who waits in line does not.

use super::batch::{Batch, write_batch};
use super::connection;
use super::failure::{failed, kind};
use super::guard;
use super::shared::Shared;
use crate::store::decide::{Notices, Notify};
use crate::store::failure::Kind;
use crate::store::group;
use crate::store::{Ack, Append, AppendOutcome, Counters, StoreError};
use abide_core::Code;
use sqlx::{Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Lock timeout, as long as the deadlock detector waits.
const PATIENT: &str = "BEGIN; SET LOCAL lock_timeout = '1s'";
/// When it is asked who holds the row.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// An append that is put off, among those of its store, until this is dropped.
pub(super) struct PutOff(Arc<Shared>);

impl PutOff {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.put_off.send_modify(|count| *count += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for PutOff {
    fn drop(&mut self) {
        self.0.put_off.send_modify(|count| *count -= 1);
    }
}

/// Queues an append again.
fn again(shared: &Shared, append: Append, ack: Ack) {
    if let Err(group) = shared.queue.again(vec![(append, ack)]) {
        group::tell(group, &StoreError::Closed);
    }
}

/// Tries an append again after a while; a close that has been put off for long waits for its row by itself.
pub(super) async fn later(put_off: PutOff, slot: i16, append: Append, ack: Ack) {
    let shared = &put_off.0;
    let pause = tokio::time::sleep(group::put_off(&append));
    // Nothing comes after the end of the queue that could let go of what is in the way.
    let closing = shared.closing.run_until_cancelled(pause).await.is_none();
    match !closing && group::waits_alone(&append) {
        true => close_alone(shared, slot, append, ack).await,
        false => again(shared, append, ack),
    }
}

/// Closes, or puts the append back into the queue. Whatever breaks here, the queue's next try finds out by
/// the journal's key whether it is in.
async fn close_alone(shared: &Arc<Shared>, slot: i16, mut append: Append, ack: Ack) {
    append.tries = append.tries.saturating_add(1);
    let Ok(_turn) = shared.alone.try_acquire() else { return again(shared, append, ack) };
    match shared.answered(close(shared, slot, &append)).await {
        Ok(Some(AppendOutcome::Done)) => {
            let counters = &shared.counters;
            for count in [&counters.commits, &counters.batches, &counters.appends] {
                Counters::add(count, 1);
            }
            shared.notify(&Notices::of([&append], None));
            ack(Ok(AppendOutcome::Done));
        }
        Ok(Some(outcome)) => ack(Ok(outcome)),
        Ok(None) => again(shared, append, ack),
        Err(error) => match group::verdict(&failed(&shared.name, error)) {
            Some(verdict) => ack(verdict),
            None => again(shared, append, ack),
        },
    }
}

/// `None`: its row was not had, and it is tried again later, as before.
async fn close(shared: &Shared, slot: i16, append: &Append) -> Result<Option<AppendOutcome>, sqlx::Error> {
    let mut connection = connection::connect(&shared.options.connect, "close").await?;
    connection.execute(sqlx::raw_sql(PATIENT)).await?;
    match lock(shared, &mut connection, append).await {
        Ok(()) => {}
        Err(error) if kind(&error) == Kind::Busy => return Ok(None),
        Err(error) => return Err(error),
    }
    let Some(locks) = guard::locks(shared, std::iter::once(append)) else { return Ok(None) };
    // The row is held: what the guard asks is whether a message is there, by a younger look.
    let mut guarded = guard::take(&locks, false, &mut connection, shared).await?;
    if guarded.out.conflicts.contains(&append.execution) {
        return Ok(Some(AppendOutcome::Conflict));
    }
    let admitted = guarded.admit([append], locks.closes());
    let [append] = admitted.as_slice() else { return Ok(None) };
    write_batch(&mut connection, shared, Batch::of(std::iter::once(&**append)), slot).await?;
    connection.execute(sqlx::raw_sql("COMMIT")).await?;
    Ok(Some(AppendOutcome::Done))
}

/// Waits for the row in line with everybody else. Who holds it is told in the log, where that takes long.
async fn lock(shared: &Shared, connection: &mut PgConnection, append: &Append) -> Result<(), sqlx::Error> {
    const LOCK: &str = "SELECT 1 FROM {s}.execution WHERE id = $1 FOR UPDATE";
    let me: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await?;
    let locking = sqlx::query(shared.sql.of(LOCK)).bind(append.execution.0).execute(connection);
    let (mut locking, mut held_by) = (std::pin::pin!(locking), Vec::new());
    // Once this session has the row, it does not keep it to ask who had it.
    let looking = async {
        tokio::time::sleep(LOOK_AFTER).await;
        holders(shared, me).await.unwrap_or_default()
    };
    let locked = tokio::select! {
        biased;
        locked = &mut locking => locked,
        holders = looking => {
            held_by = holders;
            locking.await
        }
    };
    if locked.is_err() {
        tracing::warn!(
            code = Code::Aborted.as_str(),
            execution = %append.execution,
            holders = ?held_by,
            "{}: a run cannot close: other sessions hold its row (their process ids are in `holders`); is a \
             transaction of yours open that has signalled it?",
            Code::Aborted
        );
    }
    locked.map(drop)
}

/// The server's processes that another one waits for.
async fn holders(shared: &Shared, waiting: i32) -> Result<Vec<i32>, sqlx::Error> {
    let mut connection = connection::connect(&shared.options.connect, "close").await?;
    sqlx::query_scalar("SELECT pg_blocking_pids($1)").bind(waiting).fetch_one(&mut connection).await
}
