//! Rows as both databases give them, decoded once. Each decoder names the columns that it reads, in their order.

#[cfg(feature = "sqlite")]
use super::attempt::AttemptRow;
use super::execution::{ExecutionRow, Scheduled};
use super::journal::StoredTurn;
use super::message::{InboxRow, MessageKind};
use super::schedule::ScheduleRow;
use super::stream::StreamRow;
#[cfg(feature = "sqlite")]
use super::task::BeatRow;
use super::task::{OwnedTask, Task, TaskKey};
use crate::status::ExecutionStatus;
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::{Result, Row};

/// The columns of a row, by their places. The names are Postgres's types; SQLite has one integer for all.
pub(crate) trait Columns {
    fn smallint(&self, at: usize) -> Result<i16>;
    fn integer(&self, at: usize) -> Result<i32>;
    fn maybe_integer(&self, at: usize) -> Result<Option<i32>>;
    fn bigint(&self, at: usize) -> Result<i64>;
    fn maybe_bigint(&self, at: usize) -> Result<Option<i64>>;
    fn boolean(&self, at: usize) -> Result<bool>;
    fn text(&self, at: usize) -> Result<String>;
    fn maybe_text(&self, at: usize) -> Result<Option<String>>;
}

macro_rules! columns_of {
    ($row:ty) => {
        impl Columns for $row {
            fn smallint(&self, at: usize) -> Result<i16> {
                self.try_get(at)
            }
            fn integer(&self, at: usize) -> Result<i32> {
                self.try_get(at)
            }
            fn maybe_integer(&self, at: usize) -> Result<Option<i32>> {
                self.try_get(at)
            }
            fn bigint(&self, at: usize) -> Result<i64> {
                self.try_get(at)
            }
            fn maybe_bigint(&self, at: usize) -> Result<Option<i64>> {
                self.try_get(at)
            }
            fn boolean(&self, at: usize) -> Result<bool> {
                self.try_get(at)
            }
            fn text(&self, at: usize) -> Result<String> {
                self.try_get(at)
            }
            fn maybe_text(&self, at: usize) -> Result<Option<String>> {
                self.try_get(at)
            }
        }
    };
}
#[cfg(feature = "sqlite")]
columns_of!(sqlx::sqlite::SqliteRow);
#[cfg(feature = "postgres")]
columns_of!(sqlx::postgres::PgRow);

/// What [`execution`] reads, of a table called `e`, in a schema with this prefix.
macro_rules! execution_columns {
    ($schema:literal) => {
        concat!(
            "e.id, e.workflow_id, e.run_id, e.type, e.queue, e.status, e.owner, e.wake_at, e.active, e.crashes,
    e.recovered_from, e.suspension, e.input, e.result, e.created_at, e.closed_at,
    coalesce((SELECT j.seq + j.n - 1 FROM ",
            $schema,
            "journal j WHERE j.execution = e.id ORDER BY j.seq DESC LIMIT 1), 0),
    e.retried_until, e.rev, e.close_by, e.chain_by, e.context, e.chain, e.next, e.parent, e.attempt,
    e.schedule, e.slot"
        )
    };
}
pub(crate) use execution_columns;

pub(crate) fn execution(row: &impl Columns) -> Result<ExecutionRow> {
    let suspension = row.maybe_text(11)?;
    let suspension = suspension.as_deref().map(serde_json::from_str).transpose();
    Ok(ExecutionRow {
        id: ExecutionId(row.bigint(0)?),
        workflow_id: row.text(1)?,
        run_id: row.text(2)?,
        workflow_type: row.text(3)?,
        queue: row.text(4)?,
        status: ExecutionStatus::from_code(row.smallint(5)?.into()),
        owner: row.maybe_bigint(6)?.map(Incarnation),
        wake_at_ms: row.maybe_bigint(7)?,
        active: row.boolean(8)?,
        crashes: row.integer(9)?.unsigned_abs(),
        recovered_from: row.maybe_bigint(10)?.map(Incarnation),
        suspension: suspension.map_err(|error| sqlx::Error::Decode(error.into()))?,
        input: row.maybe_text(12)?,
        result: row.maybe_text(13)?,
        created_at_ms: row.bigint(14)?,
        closed_at_ms: row.maybe_bigint(15)?,
        history_len: u64::try_from(row.bigint(16)?).unwrap_or(0),
        retried_ms: row.bigint(17)?,
        rev: row.bigint(18)?,
        close_by_ms: row.maybe_bigint(19)?,
        chain_by_ms: row.maybe_bigint(20)?,
        context: row.maybe_text(21)?,
        chain: row.maybe_bigint(22)?.map(ExecutionId),
        next: row.maybe_bigint(23)?.map(ExecutionId),
        parent: row.maybe_bigint(24)?.map(ExecutionId),
        attempt: row.integer(25)?.unsigned_abs(),
        scheduled: row.maybe_bigint(26)?.zip(row.maybe_bigint(27)?).map(Scheduled::of),
    })
}

/// `seq, n, at, writer, body`.
pub(crate) fn turn(row: &impl Columns) -> Result<StoredTurn> {
    Ok(StoredTurn {
        seq: event(row, 0)?,
        n: row.integer(1)?.unsigned_abs(),
        at_ms: row.bigint(2)?,
        writer: Incarnation(row.bigint(3)?),
        body: row.text(4)?,
    })
}

/// `id, execution, kind, request_id, body, at`.
pub(crate) fn message(row: &impl Columns) -> Result<InboxRow> {
    Ok(InboxRow {
        id: row.bigint(0)?,
        execution: ExecutionId(row.bigint(1)?),
        kind: MessageKind::from_code(row.smallint(2)?.into()),
        request_id: row.text(3)?,
        body: row.text(4)?,
        at_ms: row.bigint(5)?,
    })
}

/// `activity, attempt, next_at, failure`.
#[cfg(feature = "sqlite")]
pub(crate) fn attempt(row: &impl Columns) -> Result<AttemptRow> {
    Ok(AttemptRow {
        activity: event(row, 0)?,
        attempt: row.integer(1)?.unsigned_abs(),
        next_at_ms: row.bigint(2)?,
        failure: row.text(3)?,
    })
}

/// `execution, activity, attempt, name, input, limits, run_at, close_by, workflow_id, run_id, type, nonce`.
pub(crate) fn task(row: &impl Columns) -> Result<Task> {
    Ok(Task {
        key: task_key(row, 11)?,
        name: row.text(3)?,
        input: row.text(4)?,
        limits: row.text(5)?,
        run_at_ms: row.bigint(6)?,
        close_by_ms: row.maybe_bigint(7)?,
        workflow_id: row.text(8)?,
        run_id: row.text(9)?,
        workflow_type: row.text(10)?,
        details: row.maybe_text(12)?,
    })
}

/// `activity, details, beat_at`.
#[cfg(feature = "sqlite")] // Postgres reads them with the run's other rows
pub(crate) fn beat(row: &impl Columns) -> Result<BeatRow> {
    Ok(BeatRow { activity: event(row, 0)?, details: row.text(1)?, at_ms: row.maybe_bigint(2)? })
}

/// `execution, activity, attempt, nonce, cancel`.
pub(crate) fn owned_task(row: &impl Columns) -> Result<OwnedTask> {
    Ok(OwnedTask { key: task_key(row, 3)?, cancel: row.boolean(4)? })
}

/// `execution, activity, attempt`, and the nonce at its place.
fn task_key(row: &impl Columns, nonce: usize) -> Result<TaskKey> {
    Ok(TaskKey {
        execution: ExecutionId(row.bigint(0)?),
        activity: event(row, 1)?,
        attempt: row.integer(2)?.unsigned_abs(),
        nonce: row.bigint(nonce)?,
    })
}

fn event(row: &impl Columns, at: usize) -> Result<EventId> {
    Ok(EventId(row.bigint(at)?.unsigned_abs()))
}

/// `seq, at, attempt, body`.
pub(crate) fn item(row: &impl Columns) -> Result<StreamRow> {
    Ok(StreamRow {
        seq: row.bigint(0)?,
        at_ms: row.bigint(1)?,
        attempt: row.maybe_integer(2)?.map(i32::unsigned_abs),
        body: row.text(3)?,
    })
}

/// What [`schedule`] reads, of a table called `s`.
macro_rules! schedule_columns {
    () => {
        "s.id, s.number, s.spec, s.action, s.policy, s.state, s.note, s.paused, s.halted, s.next_at, s.last_slot,
    s.version, s.created_at"
    };
}
pub(crate) use schedule_columns;

pub(crate) fn schedule(row: &impl Columns) -> Result<ScheduleRow> {
    Ok(ScheduleRow {
        id: row.text(0)?,
        number: row.bigint(1)?,
        spec: row.text(2)?,
        action: row.text(3)?,
        policy: row.text(4)?,
        state: row.text(5)?,
        note: row.maybe_text(6)?,
        paused: row.boolean(7)?,
        halted: row.boolean(8)?,
        next_at_ms: row.maybe_bigint(9)?,
        last_slot_ms: row.maybe_bigint(10)?,
        version: row.bigint(11)?,
        created_at_ms: row.bigint(12)?,
    })
}

/// All of them.
pub(crate) fn all<R, T>(rows: &[R], decode: impl Fn(&R) -> Result<T>) -> Result<Vec<T>> {
    rows.iter().map(decode).collect()
}
