//! Starts and ends from outside: id policies, unowned starts, terminate, resume. Each in a transaction.
//!
//! What SQLite's one write lock gives is taken by name here: a start holds the locks of its workflow id
//! (PROTOCOL 23) and of its request id (PROTOCOL 98), an end holds its execution's row. A transaction that
//! holds the one may ask for the other in this order only.

use super::family::REPORT_ENDED;
use super::find::{BY_ID, select};
use super::join::{join, joined};
use super::keys::start_keys;
use super::reports;
use super::rows::TERMINATED;
use super::shared::Shared;
use super::sql::SETTLE;
use super::store::PostgresStore;
use super::sweep::unpark;
use crate::status::ExecutionStatus;
use crate::store::decide::{
    Ended, Found, Notify, OutsideEnd, Receiver, StartDecision, TERMINATED_END, TOLD, end_columns,
    end_deletes, joins, remembered, resume_columns, terminates,
};
use crate::store::row::execution;
use crate::store::{
    ExecutionRow, NewExecution, ResumeAnswer, SendAnswer, StartAnswer, Starts, StoreError, StoreFuture,
};
use abide_core::{ExecutionId, Incarnation};
use sqlx::postgres::PgRow;
use sqlx::{Executor, PgConnection};

pub(super) const KNOWN: &str =
    select!("WHERE e.run_id IN ($1, $2) OR (e.request_id IS NOT NULL AND e.request_id = $2) LIMIT 1");
pub(super) const OPEN: &str = select!("WHERE e.workflow_id = $1 AND e.status < 10");
pub(super) const CLOSED: &str =
    select!("WHERE e.workflow_id = $1 AND e.status >= 10 ORDER BY e.created_at DESC, e.id DESC LIMIT 1");

/// Takes the locks of a start's workflow id and request id, if they are free.
pub(super) async fn try_lock(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<bool> {
    for key in start_keys(shared.sql.schema(), new) {
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(key);
        if !lock.fetch_one(&mut *connection).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The runs that a start meets.
async fn found(connection: &mut PgConnection, shared: &Shared, new: &NewExecution) -> sqlx::Result<Found> {
    let read = |row: Option<PgRow>| row.as_ref().map(execution).transpose();
    let known = sqlx::query(shared.sql.of(KNOWN)).bind(&new.run_id).bind(&new.request_id);
    let known = read(known.fetch_optional(&mut *connection).await?)?;
    let known = if known.is_none() { joined(connection, shared, new).await? } else { known };
    if known.is_some() {
        connection.execute(SETTLE).await?;
        return Ok(Found { known, ..Found::default() });
    }
    let open = sqlx::query(shared.sql.of(OPEN)).bind(&new.workflow_id);
    let open = read(open.fetch_optional(&mut *connection).await?)?;
    let closed = sqlx::query(shared.sql.of(CLOSED)).bind(&new.workflow_id);
    Ok(Found { known, open, closed: read(closed.fetch_optional(connection).await?)? })
}

/// Decides a start by its request id and policies, and ends the run that it replaces. `Started`: nothing is
/// in the way (any more), insert it.
pub(super) async fn decide(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<(StartAnswer, Option<Ended>)> {
    for key in start_keys(shared.sql.schema(), new) {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key).execute(&mut *connection).await?;
    }
    let open = match StartDecision::of(new, found(connection, shared, new).await?) {
        StartDecision::Answer(answer) => return Ok((answer, None)),
        StartDecision::Start => return Ok((StartAnswer::Started, None)),
        StartDecision::Replace(open) => open,
    };
    // It may have closed by itself meanwhile, which is as good.
    let ended = match lock(connection, shared, open.id).await? {
        Some(open) if open.status.is_open() => {
            Some(end(connection, shared, OutsideEnd::replaced(&open, new)).await?)
        }
        _ => None,
    };
    Ok((StartAnswer::Started, ended))
}

/// An unowned start, under this condition.
macro_rules! insert {
    ($condition:literal) => {
        concat!(
            "INSERT INTO {s}.execution (id, workflow_id, run_id, request_id, type, queue, status, wake_at, input,
    created_at, close_by, chain_by, context, schedule, slot)
    SELECT $1, $2, $3, $4, $5, $6, 0, $9, $7, $8, $10, $11, $12, $13, $14 ",
            $condition,
            " ON CONFLICT DO NOTHING"
        )
    };
}

async fn insert(connection: &mut PgConnection, shared: &Shared, new: &NewExecution) -> sqlx::Result<bool> {
    insert_by(insert!(""), connection, shared, new).await
}

/// The same, if no run has, or had, its workflow id, whose lock the transaction has.
pub(super) async fn insert_first(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<bool> {
    const FIRST: &str = insert!("WHERE NOT EXISTS (SELECT FROM {s}.execution WHERE workflow_id = $2)");
    insert_by(FIRST, connection, shared, new).await
}

async fn insert_by(
    text: &'static str,
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<bool> {
    let insert = sqlx::query(shared.sql.of(text))
        .bind(new.id.0)
        .bind(&new.workflow_id)
        .bind(&new.run_id)
        .bind(&new.request_id)
        .bind(&new.workflow_type)
        .bind(&new.queue)
        .bind(&new.input)
        .bind(new.created_at_ms)
        .bind(new.due_at_ms())
        .bind(new.terms.close_by_ms)
        .bind(new.terms.chain_by_ms)
        .bind(&new.terms.context)
        .bind(new.terms.scheduled.map(|scheduled| scheduled.number))
        .bind(new.terms.scheduled.map(|scheduled| scheduled.slot_ms));
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

/// Whom a start concerns besides the workers of its task queue.
#[derive(Default)]
pub(super) struct Concerns {
    /// The runs that it has ended.
    pub(super) ended: Vec<Ended>,
    /// The run that it has sent its messages to.
    pub(super) receiver: Option<Receiver>,
}

/// An unowned start: due at once, its input in the row.
pub(super) async fn start(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<(StartAnswer, Concerns)> {
    let mut concerns = Concerns::default();
    // Twice only where an owned start of the same workflow id came between: it holds that id's lock only if
    // its policies look at other runs. Or where the open run has closed before it got the messages.
    loop {
        let (answer, ended) = decide(connection, shared, new).await?;
        concerns.ended.extend(ended);
        let is_done = match &answer {
            StartAnswer::Started => insert(connection, shared, new).await?,
            StartAnswer::Existing(open) if joins(new, open) => {
                let (is_in, receiver) = join(connection, shared, new, open.id).await?;
                concerns.receiver = receiver;
                is_in
            }
            _ => true,
        };
        if is_done {
            return Ok((answer, concerns));
        }
    }
}

/// The row, locked against a close and other ends.
async fn lock(
    connection: &mut PgConnection,
    shared: &Shared,
    id: ExecutionId,
) -> sqlx::Result<Option<ExecutionRow>> {
    const LOCK: &str = "SELECT 1 FROM {s}.execution WHERE id = $1 FOR UPDATE";
    let locked = sqlx::query(shared.sql.of(LOCK)).bind(id.0).fetch_optional(&mut *connection).await?;
    if locked.is_none() {
        return Ok(None);
    }
    // By a statement of its own, whose snapshot is younger than the lock.
    let row = sqlx::query(shared.sql.of(BY_ID)).bind(id.0).fetch_optional(connection).await?;
    row.as_ref().map(execution).transpose()
}

/// Ends an execution from outside. A request id that did so before is `Known`.
pub(super) async fn terminate(
    connection: &mut PgConnection,
    shared: &Shared,
    id: ExecutionId,
    request_id: &str,
    event: &str,
    at_ms: i64,
) -> sqlx::Result<(SendAnswer, Option<Ended>)> {
    const KNOWN: &str = "SELECT 1 FROM {s}.reply WHERE request_id = $1";
    const REMEMBER: &str =
        "INSERT INTO {s}.reply (request_id, body, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let remembered = remembered(id, request_id, at_ms);
    let row = lock(connection, shared, id).await?;
    let known = sqlx::query(shared.sql.of(KNOWN)).bind(&remembered.request_id);
    let known = known.fetch_optional(&mut *connection).await?.is_some();
    let row = match terminates(known, row) {
        Ok(row) => row,
        Err(answer) => return Ok((answer, None)),
    };
    let ended = end(connection, shared, OutsideEnd::of(&row, event, at_ms)).await?;
    let remember = sqlx::query(shared.sql.of(REMEMBER)).bind(remembered.request_id).bind(remembered.body);
    remember.bind(remembered.expires_at_ms).execute(connection).await?;
    Ok((SendAnswer::Sent, Some(ended)))
}

/// Executes an end from outside. An append of the owner that was faster makes this transaction fail by the
/// journal's key, and it is begun again.
async fn end(connection: &mut PgConnection, shared: &Shared, end: OutsideEnd<'_>) -> sqlx::Result<Ended> {
    const EVENT: &str =
        "INSERT INTO {s}.journal (execution, seq, n, at, writer, body) VALUES ($1, $2, $3, $4, $5, $6)";
    const ROW: &str =
        concat!("UPDATE {s}.execution SET ", end_columns!("{s}."), " WHERE id = $1 RETURNING owner");
    const TELL: &str = "INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let (id, turn) = (end.execution.0, &end.turn);
    sqlx::query(shared.sql.of(EVENT))
        .bind(id)
        .bind(i64::try_from(turn.seq.0).unwrap_or(i64::MAX))
        .bind(i32::try_from(turn.n).unwrap_or(i32::MAX))
        .bind(turn.at_ms)
        .bind(turn.writer.0)
        .bind(&turn.body)
        .execute(&mut *connection)
        .await?;
    let update = sqlx::query_scalar(shared.sql.of(ROW)).bind(id).bind(OutsideEnd::STATUS.code() as i16);
    // The owner that the update sees counts: it may have been claimed since it was read.
    let owner: Option<i64> = update.bind(end.event).bind(end.at_ms).fetch_one(&mut *connection).await?;
    for delete in end_deletes!("{s}.") {
        sqlx::query(shared.sql.of(delete)).bind(id).execute(&mut *connection).await?;
    }
    let report = sqlx::query_as(shared.sql.of(REPORT_ENDED)).bind(id).bind(TERMINATED_END).bind(end.at_ms);
    let parent: Option<(Option<i64>, String)> = report.fetch_optional(&mut *connection).await?;
    let parent = parent.map(|(owner, queue)| Receiver { owner: owner.map(Incarnation), queue });
    let report = sqlx::query(shared.sql.of(reports::REPORT_ENDED)).bind(id).bind(end.at_ms);
    let scheduled = report.execute(&mut *connection).await?.rows_affected() > 0;
    if owner.is_some() {
        let tell = sqlx::query(shared.sql.of(TELL)).bind(id).bind(TERMINATED).bind(TOLD);
        tell.bind(end.event).bind(end.at_ms).execute(connection).await?;
    }
    Ok(Ended { owner: owner.map(Incarnation), parent, scheduled })
}

/// Lets a suspended execution run again. Its task queue comes back, for those who may claim it. The row is
/// locked fully: a sender that has seen it suspended has committed its message by then, or waits (PROTOCOL
/// 97).
pub(super) async fn resume(
    connection: &mut PgConnection,
    shared: &Shared,
    id: ExecutionId,
    now: i64,
) -> sqlx::Result<(ResumeAnswer, Option<String>)> {
    const READ: &str = "SELECT status, queue FROM {s}.execution WHERE id = $1 FOR UPDATE";
    const RESUME: &str = concat!("UPDATE {s}.execution SET ", resume_columns!(), " WHERE id = $1");
    let row = sqlx::query_as::<_, (i16, String)>(shared.sql.of(READ)).bind(id.0);
    let (status, queue) = row.fetch_optional(&mut *connection).await?.unzip();
    let answer = ResumeAnswer::of(status.map(|status| ExecutionStatus::from_code(status.into())));
    if answer != ResumeAnswer::Resumed {
        return Ok((answer, None));
    }
    sqlx::query(shared.sql.of(RESUME)).bind(id.0).bind(now).execute(&mut *connection).await?;
    unpark(connection, shared, &[id.0]).await?;
    Ok((answer, queue))
}

impl Starts for PostgresStore {
    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer> {
        Box::pin(async move {
            let queue = new.queue.clone();
            if self.start_fresh(&new).await? {
                self.shared.notify_queue(&queue);
                return Ok(StartAnswer::Started);
            }
            let started = self.call(move |shared, connection| {
                let new = new.clone();
                Box::pin(async move { Ok(start(connection, shared, &new).await?) })
            });
            let (answer, Concerns { ended, receiver }) = started.await?;
            self.shared.notify_ended(ended.as_slice());
            receiver.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            self.shared.notify_queue(&queue);
            Ok(answer)
        })
    }

    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let terminated = self.call(move |shared, connection| {
                let (request_id, event) = (request_id.clone(), event.clone());
                Box::pin(async move {
                    Ok(terminate(connection, shared, execution, &request_id, &event, now).await?)
                })
            });
            let (answer, ended) = terminated.await?;
            self.shared.notify_ended(ended.as_slice());
            Ok(answer)
        })
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let resumed = self.call(move |shared, connection| {
                Box::pin(async move { Ok(resume(connection, shared, execution, now).await?) })
            });
            let (answer, queue) = resumed.await?;
            queue.iter().for_each(|queue| self.shared.notify_queue(queue));
            self.shared.notify_clients();
            Ok(answer)
        })
    }
}

impl PostgresStore {
    /// One whose workflow id was made for it meets no other run, and is one statement instead of seven.
    /// False: it was not; or it is in already, by a call whose answer was lost.
    async fn start_fresh(&self, new: &NewExecution) -> Result<bool, StoreError> {
        if !new.has_fresh_id() || new.request_id.is_some() {
            return Ok(false);
        }
        let new = new.clone();
        self.once(move |shared, connection| {
            let new = new.clone();
            Box::pin(async move { Ok(insert(connection, shared, &new).await?) })
        })
        .await
    }
}
