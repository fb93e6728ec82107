//! Starts and ends from outside: id policies, unowned starts, terminate, resume. All on the writer's connection, inside
//! a transaction, where the write lock makes looking and deciding one.

use super::attempt;
use super::read::{execution, select};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, NewExecution, ResumeAnswer, SendAnswer, StartAnswer};
use abide_core::ExecutionId;
use sqlx::{Row, SqliteConnection};

/// How long a terminate's request id is remembered: a day.
const REMEMBER_MS: i64 = 24 * 60 * 60 * 1_000;

/// Decides a start by its request id and policies. `Started`: nothing is in the way (any more), insert it.
pub(super) async fn decide(
    connection: &mut SqliteConnection,
    new: &NewExecution,
) -> sqlx::Result<StartAnswer> {
    let known =
        select("WHERE e.run_id IN ($1, $2) OR (e.request_id IS NOT NULL AND e.request_id = $2) LIMIT 1");
    let known = sqlx::query(known).bind(&new.run_id).bind(&new.request_id);
    if let Some(row) = known.fetch_optional(&mut *connection).await? {
        return Ok(StartAnswer::Known(Box::new(execution(&row)?)));
    }
    let open = sqlx::query(select("WHERE e.workflow_id = ? AND e.status < 10")).bind(&new.workflow_id);
    let open = open.fetch_optional(&mut *connection).await?.as_ref().map(execution).transpose()?;
    let closed =
        select("WHERE e.workflow_id = ? AND e.status >= 10 ORDER BY e.created_at DESC, e.id DESC LIMIT 1");
    let closed = sqlx::query(closed).bind(&new.workflow_id).fetch_optional(&mut *connection).await?;
    let closed = closed.as_ref().map(execution).transpose()?;
    match (&open, new.conflict) {
        (Some(_), IdConflictPolicy::Fail) => return Ok(taken(open, StartAnswer::Taken)),
        (Some(_), IdConflictPolicy::UseExisting) => return Ok(taken(open, StartAnswer::Existing)),
        (Some(_), IdConflictPolicy::TerminateExisting) | (None, _) => {}
    }
    let refused = closed.filter(|closed| match new.reuse {
        IdReusePolicy::AllowDuplicate => false,
        IdReusePolicy::AllowDuplicateFailedOnly => closed.status == ExecutionStatus::Completed,
        IdReusePolicy::RejectDuplicate => true,
    });
    if refused.is_some() {
        return Ok(taken(refused, StartAnswer::Refused));
    }
    if let Some(open) = open {
        let event =
            new.terminate_event.as_deref().unwrap_or(r#"{"terminated":{"reason":"replaced by a new run"}}"#);
        close(connection, &open, event, new.created_at_ms).await?;
    }
    Ok(StartAnswer::Started)
}

fn taken(row: Option<ExecutionRow>, answer: fn(Box<ExecutionRow>) -> StartAnswer) -> StartAnswer {
    row.map_or(StartAnswer::Started, |row| answer(Box::new(row)))
}

/// A start that nobody owns yet: due at once, its input in the row.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    new: &NewExecution,
) -> sqlx::Result<StartAnswer> {
    let answer = decide(connection, new).await?;
    if matches!(answer, StartAnswer::Started) {
        let insert =
            "INSERT INTO execution (id, workflow_id, run_id, request_id, type, queue, status, wake_at, input,
            created_at) VALUES ($1, $2, $3, $4, $5, $6, 0, $8, $7, $8)";
        sqlx::query(insert)
            .bind(new.id.0)
            .bind(&new.workflow_id)
            .bind(&new.run_id)
            .bind(&new.request_id)
            .bind(&new.workflow_type)
            .bind(&new.queue)
            .bind(&new.input)
            .bind(new.created_at_ms)
            .execute(connection)
            .await?;
    }
    Ok(answer)
}

/// Ends an execution from outside. A request id that did so before is `Known`.
pub(super) async fn terminate(
    connection: &mut SqliteConnection,
    id: ExecutionId,
    request_id: &str,
    event: &str,
    at_ms: i64,
) -> sqlx::Result<SendAnswer> {
    // Only a request of the same name for the same execution is the same request.
    let key = format!("terminate:{id}:{request_id}");
    let known = sqlx::query("SELECT 1 FROM reply WHERE request_id = ?").bind(&key);
    if known.fetch_optional(&mut *connection).await?.is_some() {
        return Ok(SendAnswer::Known);
    }
    let row = sqlx::query(select("WHERE e.id = ?")).bind(id.0).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok(SendAnswer::NoSuchExecution) };
    let row = execution(&row)?;
    if !row.status.is_open() {
        return Ok(SendAnswer::Closed);
    }
    close(connection, &row, event, at_ms).await?;
    let remember = sqlx::query("INSERT INTO reply (request_id, body, expires_at) VALUES (?, 'null', ?)");
    remember.bind(key).bind(at_ms + REMEMBER_MS).execute(connection).await?;
    Ok(SendAnswer::Sent)
}

/// Writes the closing event at the next place of the journal. The owner's next append meets it there and is refused
/// by the unique index, so no fence is needed; a row in the inbox tells it soon.
async fn close(
    connection: &mut SqliteConnection,
    row: &ExecutionRow,
    event: &str,
    at_ms: i64,
) -> sqlx::Result<()> {
    let seq = i64::try_from(row.history_len).unwrap_or(i64::MAX - 1) + 1;
    sqlx::query("INSERT INTO journal (execution, seq, n, at, writer, body) VALUES (?, ?, 1, ?, 0, ?)")
        .bind(row.id.0)
        .bind(seq)
        .bind(at_ms)
        .bind(format!("[{event}]"))
        .execute(&mut *connection)
        .await?;
    let update = "UPDATE execution SET status = $2, result = $3, closed_at = $4, wake_at = NULL, active = 0,
        suspension = NULL, tried_builds = NULL, trying_builds = NULL WHERE id = $1";
    sqlx::query(update)
        .bind(row.id.0)
        .bind(ExecutionStatus::Terminated.code())
        .bind(event)
        .bind(at_ms)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM inbox WHERE execution = ?").bind(row.id.0).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM task WHERE execution = ?").bind(row.id.0).execute(&mut *connection).await?;
    sqlx::query(attempt::DELETE).bind(row.id.0).execute(&mut *connection).await?;
    if row.owner.is_some() {
        let tell =
            "INSERT INTO inbox (execution, kind, request_id, body, at) VALUES (?, 3, 'terminated', ?, ?)";
        sqlx::query(tell).bind(row.id.0).bind(event).bind(at_ms).execute(connection).await?;
    }
    Ok(())
}

/// Lets a suspended execution run again.
pub(super) async fn resume(
    connection: &mut SqliteConnection,
    id: ExecutionId,
    now: i64,
) -> sqlx::Result<ResumeAnswer> {
    let row =
        sqlx::query("SELECT status FROM execution WHERE id = ?").bind(id.0).fetch_optional(&mut *connection);
    let Some(row) = row.await? else { return Ok(ResumeAnswer::NoSuchExecution) };
    let code: i64 = row.try_get(0)?;
    if code != ExecutionStatus::Suspended.code() {
        let status = ExecutionStatus::from_code(code);
        return Ok(ResumeAnswer::NotSuspended(status));
    }
    let update = "UPDATE execution SET status = 0, owner = NULL, rev = rev + 1, wake_at = ?, crashes = 0, suspension = NULL,
        tried_builds = NULL, trying_builds = NULL WHERE id = ?";
    sqlx::query(update).bind(now).bind(id.0).execute(connection).await?;
    Ok(ResumeAnswer::Resumed)
}
