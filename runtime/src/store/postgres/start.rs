//! Starts and ends from outside: id policies, unowned starts, terminate, resume. Each in a transaction.
//!
//! What SQLite's one write lock gives is taken by name here: a start holds the locks of its workflow id (PROTOCOL 23) and of its
//! request id (PROTOCOL 98), an end holds its execution's row. Whoever holds the one may ask for the other in this order only.

use super::PostgresStore;
use super::attempt;
use super::guard::start_keys;
use super::read::{execution, select};
use super::rows::TERMINATED;
use super::shared::{Shared, Tiding};
use super::sql::SETTLE;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, NewExecution, ResumeAnswer, SendAnswer, StartAnswer, StoreError};
use abide_core::ExecutionId;
use sqlx::{Executor, PgConnection, Row};

/// How long a terminate's request id is remembered: a day.
const REMEMBER_MS: i64 = 24 * 60 * 60 * 1_000;

/// An execution that was ended from outside: who is to be told.
pub(super) struct Ended {
    pub(super) owner: Option<i64>,
}

impl Ended {
    pub(super) fn tell(&self, shared: &Shared) {
        if let Some(owner) = self.owner {
            shared.tell(Tiding::Worker(owner));
        }
        shared.tell_news();
    }
}

pub(super) const KNOWN: &str =
    select!("WHERE e.run_id IN ($1, $2) OR (e.request_id IS NOT NULL AND e.request_id = $2) LIMIT 1");
pub(super) const OPEN: &str = select!("WHERE e.workflow_id = $1 AND e.status < 10");
pub(super) const CLOSED: &str =
    select!("WHERE e.workflow_id = $1 AND e.status >= 10 ORDER BY e.created_at DESC, e.id DESC LIMIT 1");

/// Takes the locks of a start's workflow id and request id, if nobody has them.
pub(super) async fn try_lock(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<bool> {
    for key in start_keys(shared, new) {
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(key);
        if !lock.fetch_one(&mut *connection).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Decides a start by its request id and policies. `Started`: nothing is in the way (any more), insert it.
pub(super) async fn decide(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<(StartAnswer, Option<Ended>)> {
    for key in start_keys(shared, new) {
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(key).execute(&mut *connection).await?;
    }
    let known = sqlx::query(shared.sql.of(KNOWN)).bind(&new.run_id).bind(&new.request_id);
    if let Some(row) = known.fetch_optional(&mut *connection).await? {
        connection.execute(SETTLE).await?;
        return Ok((StartAnswer::Known(Box::new(execution(&row)?)), None));
    }
    let open = sqlx::query(shared.sql.of(OPEN)).bind(&new.workflow_id).fetch_optional(&mut *connection);
    let open = open.await?.as_ref().map(execution).transpose()?;
    let closed = sqlx::query(shared.sql.of(CLOSED)).bind(&new.workflow_id).fetch_optional(&mut *connection);
    let closed = closed.await?.as_ref().map(execution).transpose()?;
    match (open.as_ref(), new.conflict) {
        (Some(open), IdConflictPolicy::Fail) => {
            return Ok((StartAnswer::Taken(Box::new(open.clone())), None));
        }
        (Some(open), IdConflictPolicy::UseExisting) => {
            return Ok((StartAnswer::Existing(Box::new(open.clone())), None));
        }
        (Some(_), IdConflictPolicy::TerminateExisting) | (None, _) => {}
    }
    let refused = closed.filter(|closed| match new.reuse {
        IdReusePolicy::AllowDuplicate => false,
        IdReusePolicy::AllowDuplicateFailedOnly => closed.status == ExecutionStatus::Completed,
        IdReusePolicy::RejectDuplicate => true,
    });
    if let Some(refused) = refused {
        return Ok((StartAnswer::Refused(Box::new(refused)), None));
    }
    let Some(open) = open else { return Ok((StartAnswer::Started, None)) };
    let event =
        new.terminate_event.as_deref().unwrap_or(r#"{"terminated":{"reason":"replaced by a new run"}}"#);
    // It may have closed by itself meanwhile, which is as good.
    let ended = match lock(connection, shared, open.id).await? {
        Some(open) if open.status.is_open() => {
            Some(close(connection, shared, &open, event, new.created_at_ms).await?)
        }
        _ => None,
    };
    Ok((StartAnswer::Started, ended))
}

const INSERT: &str =
    "INSERT INTO {s}.execution (id, workflow_id, run_id, request_id, type, queue, status, wake_at, input,
    created_at) VALUES ($1, $2, $3, $4, $5, $6, 0, $8, $7, $8) ON CONFLICT DO NOTHING";

async fn insert(connection: &mut PgConnection, shared: &Shared, new: &NewExecution) -> sqlx::Result<bool> {
    let insert = sqlx::query(shared.sql.of(INSERT))
        .bind(new.id.0)
        .bind(&new.workflow_id)
        .bind(&new.run_id)
        .bind(&new.request_id)
        .bind(&new.workflow_type)
        .bind(&new.queue)
        .bind(&new.input)
        .bind(new.created_at_ms);
    Ok(insert.execute(connection).await?.rows_affected() == 1)
}

impl PostgresStore {
    /// One whose workflow id was made for it meets no other run, and is one statement instead of seven. False: it was not; or it is
    /// in already, by a call whose answer was lost.
    pub(super) async fn start_fresh(&self, new: &NewExecution) -> Result<bool, StoreError> {
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

/// A start that nobody owns yet: due at once, its input in the row. The runs that it has ended come with the answer.
pub(super) async fn start(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<(StartAnswer, Vec<Ended>)> {
    let mut all_ended = Vec::new();
    // Twice only where an owned start of the same workflow id came between: it holds that id's lock only if its policies look at
    // other runs.
    loop {
        let (answer, ended) = decide(connection, shared, new).await?;
        all_ended.extend(ended);
        if !matches!(answer, StartAnswer::Started) || insert(connection, shared, new).await? {
            return Ok((answer, all_ended));
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
    const READ: &str = select!("WHERE e.id = $1");
    let locked = sqlx::query(shared.sql.of(LOCK)).bind(id.0).fetch_optional(&mut *connection).await?;
    if locked.is_none() {
        return Ok(None);
    }
    // By a statement of its own, whose snapshot is younger than the lock.
    let row = sqlx::query(shared.sql.of(READ)).bind(id.0).fetch_optional(connection).await?;
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
        "INSERT INTO {s}.reply (request_id, body, expires_at) VALUES ($1, 'null', $2) ON CONFLICT DO NOTHING";
    // Only a request of the same name for the same execution is the same request.
    let key = format!("terminate:{id}:{request_id}");
    let row = lock(connection, shared, id).await?;
    let known = sqlx::query(shared.sql.of(KNOWN)).bind(&key).fetch_optional(&mut *connection).await?;
    if known.is_some() {
        return Ok((SendAnswer::Known, None));
    }
    let Some(row) = row else { return Ok((SendAnswer::NoSuchExecution, None)) };
    if !row.status.is_open() {
        return Ok((SendAnswer::Closed, None));
    }
    let ended = close(connection, shared, &row, event, at_ms).await?;
    let remember = sqlx::query(shared.sql.of(REMEMBER)).bind(key).bind(at_ms + REMEMBER_MS);
    remember.execute(connection).await?;
    Ok((SendAnswer::Sent, Some(ended)))
}

/// Writes the closing event at the next place of the journal. The owner's next append meets it there and is refused
/// by the key, so no fence is needed; an append that was faster makes this transaction fail by the same key, and it is begun anew.
/// A row in the inbox tells the owner soon.
async fn close(
    connection: &mut PgConnection,
    shared: &Shared,
    row: &ExecutionRow,
    event: &str,
    at_ms: i64,
) -> sqlx::Result<Ended> {
    const EVENT: &str =
        "INSERT INTO {s}.journal (execution, seq, n, at, writer, body) VALUES ($1, $2, 1, $3, 0, $4)";
    const ROW: &str =
        "UPDATE {s}.execution SET status = $2, result = $3, closed_at = $4, wake_at = NULL, active = false,
        suspension = NULL, tried_builds = NULL, trying_builds = NULL WHERE id = $1 RETURNING owner";
    const TELL: &str = "INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
        VALUES ($1, $2, 'terminated', $3, $4) ON CONFLICT DO NOTHING";
    let seq = i64::try_from(row.history_len).unwrap_or(i64::MAX - 1) + 1;
    let body = format!("[{event}]");
    let written = sqlx::query(shared.sql.of(EVENT)).bind(row.id.0).bind(seq).bind(at_ms).bind(body);
    written.execute(&mut *connection).await?;
    let status = ExecutionStatus::Terminated.code() as i16;
    let update = sqlx::query(shared.sql.of(ROW)).bind(row.id.0).bind(status).bind(event).bind(at_ms);
    // What the update sees is what counts: it may have been claimed since it was read.
    let owner: Option<i64> = update.fetch_one(&mut *connection).await?.try_get(0)?;
    const TASKS: &str = "DELETE FROM {s}.task WHERE execution = $1";
    const INBOX: &str = "DELETE FROM {s}.inbox WHERE execution = $1";
    for table in [TASKS, attempt::DELETE, INBOX] {
        sqlx::query(shared.sql.of(table)).bind(row.id.0).execute(&mut *connection).await?;
    }
    if owner.is_some() {
        let tell = sqlx::query(shared.sql.of(TELL)).bind(row.id.0).bind(TERMINATED).bind(event).bind(at_ms);
        tell.execute(connection).await?;
    }
    Ok(Ended { owner })
}

/// Lets a suspended execution run again. Its task queue comes back, for those who may claim it.
pub(super) async fn resume(
    connection: &mut PgConnection,
    shared: &Shared,
    id: ExecutionId,
    now: i64,
) -> sqlx::Result<(ResumeAnswer, Option<String>)> {
    const READ: &str = "SELECT status, queue FROM {s}.execution WHERE id = $1 FOR NO KEY UPDATE";
    const RESUME: &str =
        "UPDATE {s}.execution SET status = 0, owner = NULL, rev = rev + 1, wake_at = $2, crashes = 0, suspension = NULL,
        tried_builds = NULL, trying_builds = NULL WHERE id = $1";
    let row = sqlx::query(shared.sql.of(READ)).bind(id.0).fetch_optional(&mut *connection).await?;
    let Some(row) = row else { return Ok((ResumeAnswer::NoSuchExecution, None)) };
    let code: i16 = row.try_get(0)?;
    if i64::from(code) != ExecutionStatus::Suspended.code() {
        let status = ExecutionStatus::from_code(i64::from(code));
        return Ok((ResumeAnswer::NotSuspended(status), None));
    }
    sqlx::query(shared.sql.of(RESUME)).bind(id.0).bind(now).execute(connection).await?;
    Ok((ResumeAnswer::Resumed, row.try_get(1)?))
}
