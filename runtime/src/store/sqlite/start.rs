//! Starts and ends from outside: id policies, unowned starts, terminate, resume. All run on the writer's connection in
//! a transaction, whose write lock makes reading and deciding one step.

use super::family::REPORT_ENDED;
use super::find::{BY_ID, select};
use super::join::{join, joined};
use super::reports;
use super::store::SqliteStore;
use super::sweep::unpark;
use crate::policy::IdConflictPolicy;
use crate::status::ExecutionStatus;
use crate::store::decide::{
    Found, OutsideEnd, StartDecision, TERMINATED_END, TOLD, end_columns, end_deletes, joins, remembered,
    resume_columns, terminates,
};
use crate::store::row::execution;
use crate::store::{MessageKind, NewExecution, ResumeAnswer, SendAnswer, StartAnswer, Starts, StoreFuture};
use abide_core::ExecutionId;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

pub(super) const KNOWN: &str =
    select!("WHERE e.run_id IN ($1, $2) OR (e.request_id IS NOT NULL AND e.request_id = $2) LIMIT 1");
pub(super) const OPEN: &str = select!("WHERE e.workflow_id = ? AND e.status < 10");
pub(super) const CLOSED: &str =
    select!("WHERE e.workflow_id = ? AND e.status >= 10 ORDER BY e.created_at DESC, e.id DESC LIMIT 1");

/// The runs that a start meets.
async fn found(connection: &mut SqliteConnection, new: &NewExecution) -> sqlx::Result<Found> {
    let read = |row: Option<SqliteRow>| row.as_ref().map(execution).transpose();
    let known = sqlx::query(KNOWN).bind(&new.run_id).bind(&new.request_id);
    let known = read(known.fetch_optional(&mut *connection).await?)?;
    let known = if known.is_none() { joined(connection, new).await? } else { known };
    if known.is_some() {
        return Ok(Found { known, ..Found::default() });
    }
    let open = sqlx::query(OPEN).bind(&new.workflow_id);
    let open = read(open.fetch_optional(&mut *connection).await?)?;
    let closed = sqlx::query(CLOSED).bind(&new.workflow_id).fetch_optional(connection).await?;
    Ok(Found { known, open, closed: read(closed)? })
}

/// Decides a start by its request id and policies, and ends the run that it replaces. `Started`: insert it.
/// The flag: whether a run was ended.
pub(super) async fn decide(
    connection: &mut SqliteConnection,
    new: &NewExecution,
) -> sqlx::Result<(StartAnswer, bool)> {
    match StartDecision::of(new, found(connection, new).await?) {
        StartDecision::Answer(answer) => Ok((answer, false)),
        StartDecision::Start => Ok((StartAnswer::Started, false)),
        StartDecision::Replace(open) => {
            end(connection, OutsideEnd::replaced(&open, new), open.owner.is_some()).await?;
            Ok((StartAnswer::Started, true))
        }
    }
}

/// A start without an owner: due at once, its input in the row.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    new: &NewExecution,
) -> sqlx::Result<StartAnswer> {
    let (answer, _) = decide(connection, new).await?;
    if matches!(answer, StartAnswer::Started) {
        insert(connection, new).await?;
    }
    if let StartAnswer::Existing(open) = &answer
        && joins(new, open)
    {
        join(connection, new, open.id).await?;
    }
    Ok(answer)
}

/// Inserts it. Nothing is in its way.
pub(super) async fn insert(connection: &mut SqliteConnection, new: &NewExecution) -> sqlx::Result<()> {
    const INSERT: &str =
        "INSERT INTO execution (id, workflow_id, run_id, request_id, type, queue, status, wake_at, input,
        created_at, close_by, chain_by, context, schedule, slot)
        VALUES ($1, $2, $3, $4, $5, $6, 0, $9, $7, $8, $10, $11, $12, $13, $14)";
    sqlx::query(INSERT)
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
        .bind(new.terms.scheduled.map(|scheduled| scheduled.slot_ms))
        .execute(connection)
        .await
        .map(drop)
}

/// Ends an execution from outside. A request id that did so before is `Known`.
async fn terminate(
    connection: &mut SqliteConnection,
    id: ExecutionId,
    request_id: &str,
    event: &str,
    at_ms: i64,
) -> sqlx::Result<SendAnswer> {
    let remembered = remembered(id, request_id, at_ms);
    let known = sqlx::query("SELECT 1 FROM reply WHERE request_id = ?").bind(&remembered.request_id);
    let known = known.fetch_optional(&mut *connection).await?.is_some();
    let row = sqlx::query(BY_ID).bind(id.0).fetch_optional(&mut *connection).await?;
    let row = match terminates(known, row.as_ref().map(execution).transpose()?) {
        Ok(row) => row,
        Err(answer) => return Ok(answer),
    };
    end(connection, OutsideEnd::of(&row, event, at_ms), row.owner.is_some()).await?;
    let remember = sqlx::query("INSERT INTO reply (request_id, body, expires_at) VALUES (?, ?, ?)");
    let remember = remember.bind(remembered.request_id).bind(remembered.body).bind(remembered.expires_at_ms);
    remember.execute(connection).await?;
    Ok(SendAnswer::Sent)
}

/// Executes an end from outside.
async fn end(connection: &mut SqliteConnection, end: OutsideEnd<'_>, owned: bool) -> sqlx::Result<()> {
    const ROW: &str = concat!("UPDATE execution SET ", end_columns!(""), " WHERE id = $1");
    let (id, turn) = (end.execution.0, &end.turn);
    sqlx::query("INSERT INTO journal (execution, seq, n, at, writer, body) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(id)
        .bind(i64::try_from(turn.seq.0).unwrap_or(i64::MAX))
        .bind(i64::from(turn.n))
        .bind(turn.at_ms)
        .bind(turn.writer.0)
        .bind(&turn.body)
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query(ROW).bind(id).bind(OutsideEnd::STATUS.code()).bind(end.event).bind(end.at_ms);
    row.execute(&mut *connection).await?;
    for delete in end_deletes!("") {
        sqlx::query(delete).bind(id).execute(&mut *connection).await?;
    }
    let report = sqlx::query(REPORT_ENDED).bind(id).bind(TERMINATED_END).bind(end.at_ms);
    report.execute(&mut *connection).await?;
    sqlx::query(reports::REPORT_ENDED).bind(id).bind(end.at_ms).execute(&mut *connection).await?;
    if owned {
        let tell = "INSERT INTO inbox (execution, kind, request_id, body, at) VALUES (?, ?, ?, ?, ?)";
        let tell = sqlx::query(tell).bind(id).bind(MessageKind::Terminated.code()).bind(TOLD);
        tell.bind(end.event).bind(end.at_ms).execute(connection).await?;
    }
    Ok(())
}

/// Lets a suspended execution run again.
async fn resume(connection: &mut SqliteConnection, id: ExecutionId, now: i64) -> sqlx::Result<ResumeAnswer> {
    const RESUME: &str = concat!("UPDATE execution SET ", resume_columns!(), " WHERE id = $1");
    let status = sqlx::query_scalar("SELECT status FROM execution WHERE id = ?").bind(id.0);
    let status = status.fetch_optional(&mut *connection).await?.map(ExecutionStatus::from_code);
    let answer = ResumeAnswer::of(status);
    if answer == ResumeAnswer::Resumed {
        sqlx::query(RESUME).bind(id.0).bind(now).execute(&mut *connection).await?;
        unpark(connection, &format!("[{id}]")).await?;
    }
    Ok(answer)
}

impl Starts for SqliteStore {
    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer> {
        let replaces = new.conflict == IdConflictPolicy::TerminateExisting;
        Box::pin(async move {
            let started = self.telling(move |c| Box::pin(async move { Ok(start(c, &new).await?) })).await?;
            if replaces {
                self.shared.tell_schedules();
            }
            Ok(started)
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
            let ended = self.telling(move |c| {
                Box::pin(async move { Ok(terminate(c, execution, &request_id, &event, now).await?) })
            });
            let answer = ended.await?;
            self.shared.tell_schedules();
            Ok(answer)
        })
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.telling(move |c| Box::pin(async move { Ok(resume(c, execution, now).await?) })))
    }
}
