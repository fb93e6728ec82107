//! Tasks: the rows by which attempts are decided (PROTOCOL 22), as workers claim and end them.
//!
//! A row is deleted because its attempt has ended; the outcome is put into the execution's inbox in the same
//! transaction. Looks for work and for late tasks read on a reader first. Most find nothing and cost the
//! writer nothing.

use super::beats::beat;
use super::claim::fence;
use super::limit::{self, keyed, plain};
use super::store::SqliteStore;
use crate::store::decide::{attempt_request_id, outcome_json, outcome_row, parking_statuses};
use crate::store::row::{self, all};
use crate::store::task::{lost, timed_out};
use crate::store::{
    Beat, Beaten, ClaimedTasks, MessageKind, OwnedTask, StoreFuture, TaskClaim, TaskKey, Tasks, Trouble,
    WorkerLimit,
};
use abide_core::exec::AttemptOutcome;
use abide_core::{Incarnation, TimeoutKind};
use sqlx::{Row, SqliteConnection};

macro_rules! due_of {
    ($priority:literal) => {
        concat!(
            "SELECT * FROM (SELECT rowid FROM task WHERE ",
            plain!(),
            " AND queue = $1 AND priority = ",
            $priority,
            " AND NOT cancel AND run_at <= $3 AND name IN (SELECT value FROM json_each($2))
              AND (start_by IS NULL OR start_by > $3) AND (close_by IS NULL OR close_by > $3)
            ORDER BY run_at LIMIT $4)"
        )
    };
}

/// `$1` a queue, `$2` names, `$3` now, `$4` limit. One queue and one priority at a time, so that the index gives the
/// order and few rows are read however long the queue is. Late tasks are left to [`Tasks::expire_tasks`].
const DUE: &str = concat!(
    due_of!("1"),
    " UNION ALL ",
    due_of!("2"),
    " UNION ALL ",
    due_of!("3"),
    " UNION ALL ",
    due_of!("4"),
    " UNION ALL ",
    due_of!("5"),
    " LIMIT $4"
);

macro_rules! next_of {
    ($priority:literal) => {
        concat!(
            "(SELECT run_at FROM task WHERE ",
            plain!(),
            " AND queue = $1 AND priority = ",
            $priority,
            " AND name IN (SELECT value FROM json_each($2)) ORDER BY run_at LIMIT 1)"
        )
    };
}

/// When the next one of each priority without limits and keys is due, and whether there are others.
const NEXT_DUE: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM task WHERE ",
    keyed!(),
    " AND queue = $1), ",
    next_of!("1"),
    ", ",
    next_of!("2"),
    ", ",
    next_of!("3"),
    ", ",
    next_of!("4"),
    ", ",
    next_of!("5")
);

const TAKEN: &str = "
SELECT t.execution, t.activity, t.attempt, t.name, t.input, t.limits, t.run_at, t.close_by,
    e.workflow_id, e.run_id, e.type, t.nonce, t.details
FROM task t JOIN execution e ON e.id = t.execution
WHERE t.rowid IN (SELECT value FROM json_each($1)) ORDER BY t.priority, t.run_at, t.rowid";

/// `$1` is now.
const ANY_LATE: &str = "
SELECT EXISTS (SELECT 1 FROM task WHERE close_by <= $1)
    OR EXISTS (SELECT 1 FROM task WHERE owner IS NULL AND NOT handed AND start_by <= $1)
    OR EXISTS (SELECT 1 FROM task WHERE handed AND end_by <= $1)
    OR EXISTS (SELECT 1 FROM task WHERE handed AND beat_by <= $1)";
const LATE_CLOSE: &str = "SELECT rowid FROM task WHERE close_by <= $1 LIMIT $2";
const LATE_START: &str =
    "SELECT rowid FROM task WHERE owner IS NULL AND NOT handed AND start_by <= $1 LIMIT $2";
/// What a token's holder has (PROTOCOL 77).
const LATE_END: &str = "SELECT rowid FROM task WHERE handed AND end_by <= $1 LIMIT $2";
const LATE_BEAT: &str = "SELECT rowid FROM task WHERE handed AND beat_by <= $1 LIMIT $2";

const OWNED: &str = "SELECT execution, activity, attempt, nonce, cancel FROM task WHERE owner = $1";

/// The statements that run every second or more often, for a test of their plans.
#[cfg(test)]
pub(super) const LOOKS: [&str; 12] = [
    DUE,
    NEXT_DUE,
    limit::NEXT_GROUP,
    limit::OF_GROUP,
    limit::WITHOUT_KEYS,
    ANY_LATE,
    LATE_CLOSE,
    LATE_START,
    LATE_END,
    LATE_BEAT,
    OWNED,
    super::beats::BEAT,
];

/// How many late tasks are ended in one transaction.
const LATE_AT_ONCE: i64 = 1_000;

/// Moves the rows with rowids `$3` into the inbox, with one outcome: `$1`, JSON, at `$2`.
const TO_INBOX: &str = concat!(
    "
INSERT INTO inbox (execution, kind, request_id, body, at, parked)
SELECT ",
    outcome_row!("", "$1"),
    ", $2, coalesce((SELECT e.status FROM execution e WHERE e.id = task.execution), 0) ",
    parking_statuses!(),
    "
FROM task WHERE rowid IN (SELECT value FROM json_each($3))
ON CONFLICT DO NOTHING"
);

/// Ends these attempts, all by the same outcome.
async fn end(
    connection: &mut SqliteConnection,
    rowids: &[i64],
    outcome: &AttemptOutcome,
    now: i64,
) -> sqlx::Result<()> {
    if rowids.is_empty() {
        return Ok(());
    }
    let rowids = json(rowids);
    let insert = sqlx::query(TO_INBOX).bind(outcome_json(outcome)).bind(now);
    insert.bind(&rowids).execute(&mut *connection).await?;
    let delete = sqlx::query("DELETE FROM task WHERE rowid IN (SELECT value FROM json_each(?))");
    delete.bind(rowids).execute(connection).await.map(drop)
}

async fn claim(
    connection: &mut SqliteConnection,
    claim: TaskClaim,
    now: i64,
) -> Result<ClaimedTasks, Trouble> {
    fence(connection, claim.owner).await?;
    let names = json(&claim.names);
    let mut due: Vec<i64> = Vec::new();
    let mut claimed = ClaimedTasks { turn: claim.turn.clone(), ..ClaimedTasks::default() };
    for queue in &claim.queues {
        let left = claim.limit.saturating_sub(u32::try_from(due.len()).unwrap_or(u32::MAX));
        let (_, is_keyed) = next_due(connection, queue, &names).await?;
        if is_keyed {
            let wanted = TaskClaim { limit: left, turn: claimed.turn.clone(), ..claim.clone() };
            let chosen = limit::choose(connection, &wanted, queue, &names, now).await?;
            due.extend(chosen.rows);
            claimed.next_due_ms = claimed.next_due_ms.into_iter().chain(chosen.next_due_ms).min();
            (claimed.turn, claimed.soon) = (chosen.turn, claimed.soon | chosen.soon);
            continue;
        }
        let some = sqlx::query_scalar::<_, i64>(DUE).bind(queue).bind(&names).bind(now).bind(left);
        due.extend(some.fetch_all(&mut *connection).await?);
    }
    let due = json(&due);
    let take = sqlx::query(
        "UPDATE task SET owner = $2, nonce = random() WHERE rowid IN (SELECT value FROM json_each($1))",
    );
    take.bind(&due).bind(claim.owner.0).execute(&mut *connection).await?;
    let taken = sqlx::query(TAKEN).bind(due).fetch_all(&mut *connection).await?;
    claimed.tasks = all(&taken, row::task)?;
    for queue in &claim.queues {
        let (next, is_keyed) = next_due(connection, queue, &names).await?;
        claimed.next_due_ms = next.filter(|_| !is_keyed).into_iter().chain(claimed.next_due_ms).min();
    }
    Ok(claimed)
}

/// When the next one of this queue without limits and keys is due, and whether there are others.
async fn next_due(
    connection: &mut SqliteConnection,
    queue: &str,
    names: &str,
) -> sqlx::Result<(Option<i64>, bool)> {
    let row = sqlx::query(NEXT_DUE).bind(queue).bind(names).fetch_one(connection).await?;
    let mut next: Option<i64> = None;
    for priority in 1..=5 {
        next = row.try_get::<Option<i64>, _>(priority)?.into_iter().chain(next).min();
    }
    Ok((next, row.try_get(0)?))
}

/// An attempt's outcome on its way to its execution.
pub(super) const OUTCOME: &str = concat!(
    "INSERT INTO inbox (execution, kind, request_id, body, at, parked) VALUES ($1, $2, $3, $4, $5,
    coalesce((SELECT status FROM execution WHERE id = $1), 0) ",
    parking_statuses!(),
    ") ON CONFLICT DO NOTHING"
);

/// The session that deletes the row has decided the attempt.
async fn finish(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    of: TaskKey,
    body: &str,
    now: i64,
) -> Result<bool, Trouble> {
    fence(connection, owner).await?;
    let (activity, attempt) = (of.activity.0.cast_signed(), of.attempt);
    let delete = "DELETE FROM task
        WHERE execution = ? AND activity = ? AND attempt = ? AND owner = ? AND nonce = ?";
    let delete = sqlx::query(delete).bind(of.execution.0).bind(activity).bind(attempt).bind(owner.0);
    if delete.bind(of.nonce).execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(OUTCOME)
        .bind(of.execution.0)
        .bind(MessageKind::Attempt.code())
        .bind(attempt_request_id(of.activity, attempt))
        .bind(body)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(true)
}

/// An attempt that was asked to stop before it began has stopped.
async fn release(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    keys: &[TaskKey],
    now: i64,
) -> Result<(), Trouble> {
    let (mut stopped, mut free) = (Vec::new(), Vec::new());
    for key in keys {
        let find = "SELECT rowid, cancel FROM task
            WHERE execution = ? AND activity = ? AND attempt = ? AND owner = ? AND nonce = ?";
        let find = sqlx::query(find).bind(key.execution.0).bind(key.activity.0.cast_signed());
        let find = find.bind(key.attempt).bind(owner.0).bind(key.nonce);
        let Some(row) = find.fetch_optional(&mut *connection).await? else {
            continue;
        };
        if row.try_get(1)? { stopped.push(row.try_get(0)?) } else { free.push(row.try_get(0)?) }
    }
    end(connection, &stopped, &AttemptOutcome::Cancelled, now).await?;
    let free: String = json::<[i64]>(&free);
    let give = sqlx::query("UPDATE task SET owner = NULL WHERE rowid IN (SELECT value FROM json_each(?))");
    give.bind(free).execute(connection).await?;
    Ok(())
}

/// Ends the claimed attempts of a dead worker, `most` at most, as lost: their effects may have taken place.
/// Returns how many.
pub(super) async fn lose(
    connection: &mut SqliteConnection,
    gone: Incarnation,
    now: i64,
    most: i64,
) -> sqlx::Result<u64> {
    let find = sqlx::query_scalar("SELECT rowid FROM task WHERE owner = ? LIMIT ?").bind(gone.0).bind(most);
    let rowids: Vec<i64> = find.fetch_all(&mut *connection).await?;
    end(connection, &rowids, &lost(), now).await?;
    Ok(rowids.len() as u64)
}

async fn end_late(connection: &mut SqliteConnection, now: i64) -> Result<u64, Trouble> {
    let mut ended = 0;
    let kinds = [
        (LATE_CLOSE, TimeoutKind::ScheduleToClose),
        (LATE_START, TimeoutKind::ScheduleToStart),
        (LATE_BEAT, TimeoutKind::Heartbeat),
        (LATE_END, TimeoutKind::StartToClose),
    ];
    for (late, kind) in kinds {
        let find = sqlx::query_scalar(late).bind(now).bind(LATE_AT_ONCE);
        let rowids: Vec<i64> = find.fetch_all(&mut *connection).await?;
        end(connection, &rowids, &timed_out(kind), now).await?;
        ended += rowids.len() as u64;
    }
    Ok(ended)
}

impl Tasks for SqliteStore {
    /// Reads on a reader first, since most looks find nothing. A worker without a lease is refused only if
    /// there is something.
    fn claim_tasks(&self, wanted: TaskClaim) -> StoreFuture<'_, ClaimedTasks> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let looked = self.reading(async |readers| {
                let (mut reader, names) = (readers.acquire().await?, json(&wanted.names));
                let (mut first, mut any): (Option<i64>, bool) = (None, false);
                for queue in &wanted.queues {
                    let (next, is_keyed) = next_due(&mut reader, queue, &names).await?;
                    first = first.into_iter().chain(next).min();
                    any |= is_keyed;
                }
                Ok((first, any))
            });
            let (next_due_ms, is_keyed) = looked.await?;
            if !is_keyed && next_due_ms.is_none_or(|at| at > now) {
                return Ok(ClaimedTasks { next_due_ms, turn: wanted.turn, ..ClaimedTasks::default() });
            }
            self.call(move |connection| Box::pin(claim(connection, wanted, now))).await
        })
    }

    fn limited(&self, queue: String) -> StoreFuture<'_, Vec<String>> {
        Box::pin(self.reading(async move |readers| {
            sqlx::query_scalar(limit::LIMITED).bind(queue).fetch_all(readers).await
        }))
    }

    fn set_limits(&self, queue: String, limits: Vec<WorkerLimit>) -> StoreFuture<'_, ()> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.call(move |connection| {
            Box::pin(async move { Ok(limit::set(connection, &queue, &limits, now).await?) })
        }))
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        let now = self.shared.clock.now_ms();
        Box::pin(self.telling(move |connection| {
            Box::pin(async move { finish(connection, owner, key, &body, now).await })
        }))
    }

    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()> {
        let now = self.shared.clock.now_ms();
        Box::pin(
            self.telling(move |connection| {
                Box::pin(async move { release(connection, owner, &keys, now).await })
            }),
        )
    }

    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>> {
        Box::pin(self.reading(async move |readers| {
            all(&sqlx::query(OWNED).bind(owner.0).fetch_all(readers).await?, row::owned_task)
        }))
    }

    fn beat(&self, owner: Incarnation, beats: Vec<Beat>) -> StoreFuture<'_, Vec<Beaten>> {
        let now = self.shared.clock.now_ms();
        Box::pin(
            self.call(move |connection| Box::pin(async move { beat(connection, owner, &beats, now).await })),
        )
    }

    fn expire_tasks(&self) -> StoreFuture<'_, u64> {
        let now = self.shared.clock.now_ms();
        Box::pin(async move {
            let late = self.reading(async move |readers| {
                sqlx::query_scalar(ANY_LATE).bind(now).fetch_one(readers).await
            });
            if !late.await? {
                return Ok(0);
            }
            self.telling(move |connection| Box::pin(end_late(connection, now))).await
        })
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("lists, texts, numbers and encoded payloads are JSON")
}
