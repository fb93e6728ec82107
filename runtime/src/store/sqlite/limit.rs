//! Claims in a task queue with limits or keys, and the limits themselves (PROTOCOL 78, 79). The writer holds the one
//! lock, so that to count and to take is one step.

use crate::store::decide::{Candidate, CandidateTask, GROUPS_AT_ONCE, LimitRow, Rooms, pick};
use crate::store::{QueueTurn, TaskClaim, WorkerLimit};
use abide_core::{EventId, ExecutionId};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

/// What no worker has, without limits and keys: the index `task_due` is of these words.
macro_rules! plain {
    () => {
        "owner IS NULL AND NOT handed AND queue IS NOT NULL AND limit_key = '' AND fair_key = ''"
    };
}
pub(super) use plain;

/// What no worker has, with a limit or a key: the index `task_keyed` is of these words.
macro_rules! keyed {
    () => {
        "owner IS NULL AND NOT handed AND queue IS NOT NULL AND (limit_key <> '' OR fair_key <> '')"
    };
}
pub(super) use keyed;

/// `$1` queue, `$2` priority, `$3` and `$4` the keys before: the next ones.
pub(super) const NEXT_GROUP: &str = concat!(
    "SELECT fair_key, limit_key FROM task WHERE ",
    keyed!(),
    " AND queue = $1 AND priority = $2 AND (fair_key, limit_key) > ($3, $4)
    ORDER BY fair_key, limit_key LIMIT 1"
);

macro_rules! tasks_of {
    ($is:expr) => {
        concat!(
            "SELECT * FROM (SELECT execution, activity, name, run_at, weight, 1 FROM task WHERE ",
            $is,
            " AND queue = $1 AND priority = $2 AND NOT cancel AND run_at <= $6
                AND name IN (SELECT value FROM json_each($5))
                AND (start_by IS NULL OR start_by > $6) AND (close_by IS NULL OR close_by > $6)
            ORDER BY run_at LIMIT $7)
        UNION ALL
        SELECT * FROM (SELECT execution, activity, name, run_at, weight, 0 FROM task WHERE ",
            $is,
            " AND queue = $1 AND priority = $2 AND run_at > $6 AND name IN (SELECT value FROM json_each($5))
            ORDER BY run_at LIMIT 1)"
        )
    };
}

/// `$1` queue, `$2` priority, `$3` and `$4` the keys, `$5` names, `$6` now, `$7` the most: the oldest due, and the
/// first that is not due yet.
pub(super) const OF_GROUP: &str = tasks_of!(concat!(keyed!(), " AND fair_key = $3 AND limit_key = $4"));
pub(super) const WITHOUT_KEYS: &str = tasks_of!(concat!(plain!(), " AND $3 = '' AND $4 = ''"));

fn task(row: &SqliteRow) -> sqlx::Result<CandidateTask> {
    Ok(CandidateTask {
        execution: ExecutionId(row.try_get(0)?),
        activity: EventId(row.try_get::<i64, _>(1)?.unsigned_abs()),
        name: row.try_get(2)?,
        run_at_ms: row.try_get(3)?,
        weight: row.try_get(4)?,
        is_due: row.try_get::<i64, _>(5)? == 1,
    })
}

/// The keys of a priority after the one whose turn it was, and from the first one to that one.
async fn groups(
    connection: &mut SqliteConnection,
    queue: &str,
    priority: i16,
    turn: &QueueTurn,
) -> sqlx::Result<Vec<(String, String)>> {
    let last = (turn.fair_key.clone(), turn.limit_key.clone());
    let mut groups = Vec::new();
    for (ahead, from) in [(true, last.clone()), (false, (String::new(), String::new()))] {
        let mut before = from;
        for _ in 0..GROUPS_AT_ONCE {
            let next = sqlx::query_as::<_, (String, String)>(NEXT_GROUP)
                .bind(queue)
                .bind(priority)
                .bind(&before.0)
                .bind(&before.1);
            let Some(next) = next.fetch_optional(&mut *connection).await? else { break };
            if !ahead && next > last {
                break;
            }
            groups.push(next.clone());
            before = next;
        }
    }
    Ok(groups)
}

async fn candidates(
    connection: &mut SqliteConnection,
    claim: &TaskClaim,
    queue: &str,
    names: &str,
    now: i64,
) -> sqlx::Result<Vec<Candidate>> {
    let mut candidates = Vec::new();
    for priority in 1..=5_i16 {
        let groups = groups(connection, queue, priority, &claim.turn).await?;
        let share = i64::from(claim.limit.div_ceil(groups.len().max(1) as u32).max(1));
        let plain = (String::new(), String::new());
        for (fair_key, limit_key) in groups.into_iter().chain([plain]) {
            let is_plain = fair_key.is_empty() && limit_key.is_empty();
            let (of, most) = if is_plain { (WITHOUT_KEYS, claim.limit.into()) } else { (OF_GROUP, share) };
            let of = sqlx::query(of).bind(queue).bind(priority).bind(&fair_key).bind(&limit_key);
            let rows = of.bind(names).bind(now).bind(most).fetch_all(&mut *connection).await?;
            let candidate =
                |task| Candidate { priority, fair_key: fair_key.clone(), limit_key: limit_key.clone(), task };
            if rows.is_empty() && !is_plain {
                candidates.push(candidate(None));
            }
            for row in &rows {
                candidates.push(candidate(Some(task(row)?)));
            }
        }
    }
    Ok(candidates)
}

/// The limits of a key that has none yet are those of its activity. `$1` queue, `$2` key, `$3` activity, `$4` now.
const ADOPT: &str = "INSERT INTO queue_limit (queue, key, activity, most, rate, burst, tokens, at)
    SELECT queue, $2, key, most, rate, burst, burst, $4 FROM queue_limit WHERE queue = $1 AND key = $3
    ON CONFLICT DO NOTHING";

/// `$1` queue, `$2` key.
const LIMIT: &str = "SELECT most, rate, burst, tokens, at, (SELECT count(*) FROM task t
        WHERE t.queue = $1 AND t.limit_key = $2 AND t.limit_key <> '' AND (t.owner IS NOT NULL OR t.handed))
    FROM queue_limit WHERE queue = $1 AND key = $2";

async fn rooms(
    connection: &mut SqliteConnection,
    queue: &str,
    limits: &BTreeMap<String, String>,
    now: i64,
) -> sqlx::Result<Rooms> {
    let mut rooms = Rooms::default();
    for (key, activity) in limits {
        if key != activity {
            let adopt = sqlx::query(ADOPT).bind(queue).bind(key).bind(activity).bind(now);
            adopt.execute(&mut *connection).await?;
        }
        let limit = sqlx::query(LIMIT).bind(queue).bind(key).fetch_optional(&mut *connection).await?;
        let Some(row) = limit else { continue };
        let (most, rate, burst, tokens) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let limit = LimitRow { most, rate, burst, tokens, at_ms: row.try_get(4)?, running: row.try_get(5)? };
        rooms.locked(key.clone(), limit, now);
    }
    Ok(rooms)
}

/// What a claim in one queue has chosen: the rows to take, whose turn it is then, when the next is due.
pub(super) struct Chosen {
    pub(super) rows: Vec<i64>,
    pub(super) turn: QueueTurn,
    pub(super) next_due_ms: Option<i64>,
    pub(super) soon: bool,
}

/// Chooses tasks of this queue, and spends their tokens. The caller takes them, in the same transaction.
pub(super) async fn choose(
    connection: &mut SqliteConnection,
    claim: &TaskClaim,
    queue: &str,
    names: &str,
    now: i64,
) -> sqlx::Result<Chosen> {
    let candidates = candidates(connection, claim, queue, names, now).await?;
    let mut rooms = rooms(connection, queue, &Candidate::limits(&candidates), now).await?;
    let picked = pick(&candidates, &mut rooms, claim.limit as usize, &claim.turn, now);
    let (mut rows, mut spent) = (Vec::new(), BTreeMap::<&str, f64>::new());
    for candidate in picked.tasks.iter().map(|index| &candidates[*index]) {
        let Some(task) = &candidate.task else { continue };
        let find = sqlx::query_scalar("SELECT rowid FROM task WHERE execution = ? AND activity = ?");
        let find = find.bind(task.execution.0).bind(task.activity.0.cast_signed());
        rows.push(find.fetch_one(&mut *connection).await?);
        *spent.entry(&candidate.limit_key).or_default() += 1.0;
    }
    for (key, tokens) in rooms.tokens(now) {
        let Some(spent) = spent.get(key) else { continue };
        let write = sqlx::query("UPDATE queue_limit SET tokens = ?, at = ? WHERE queue = ? AND key = ?");
        write.bind(tokens - spent).bind(now).bind(queue).bind(key).execute(&mut *connection).await?;
    }
    Ok(Chosen { rows, turn: picked.turn, next_due_ms: picked.next_due_ms, soon: picked.soon })
}

/// `$1` now, `$2` the most. The limits of keys that nothing has begun of for an hour, and that are full again.
pub(super) const TO_FORGET: &str = "SELECT o.queue, o.key FROM queue_limit o
    WHERE o.key <> o.activity AND o.at < $1 - 3600000
      AND (o.rate IS NULL OR o.tokens + ($1 - o.at) / 1000.0 * o.rate >= o.burst)
      AND NOT EXISTS (SELECT 1 FROM task t WHERE t.queue = o.queue AND t.limit_key = o.key
        AND t.limit_key <> '' AND (t.owner IS NOT NULL OR t.handed))
    LIMIT $2";

/// Forgets `most` of them at most. How many.
pub(super) async fn forget(connection: &mut SqliteConnection, now: i64, most: i64) -> sqlx::Result<u64> {
    let found = sqlx::query_as::<_, (String, String)>(TO_FORGET).bind(now).bind(most);
    let found = found.fetch_all(&mut *connection).await?;
    for (queue, key) in &found {
        let delete = sqlx::query("DELETE FROM queue_limit WHERE queue = ? AND key = ?").bind(queue).bind(key);
        delete.execute(&mut *connection).await?;
    }
    Ok(found.len() as u64)
}

pub(super) const LIMITED: &str = "SELECT key FROM queue_limit WHERE queue = ? AND key = activity";

/// Writes these limits of a queue's activities, also for the keys that have them; without a limit, deletes theirs.
pub(super) async fn set(
    connection: &mut SqliteConnection,
    queue: &str,
    limits: &[WorkerLimit],
    now: i64,
) -> sqlx::Result<()> {
    const PUT: &str = "INSERT INTO queue_limit (queue, key, activity, most, rate, burst, tokens, at)
        VALUES ($1, $2, $2, $3, $4, $5, $5, $6) ON CONFLICT DO NOTHING";
    const CHANGE: &str = "UPDATE queue_limit SET most = $3, rate = $4, burst = $5, tokens = min(tokens, $5)
        WHERE queue = $1 AND activity = $2 AND (most IS NOT $3 OR rate IS NOT $4 OR burst IS NOT $5) AND $6 = $6";
    for limit in limits {
        let (rate, burst) = limit.rate.map_or((None, 1.0), |(rate, burst)| (Some(rate), burst));
        if limit.is_none() {
            let drop = sqlx::query("DELETE FROM queue_limit WHERE queue = ? AND activity = ?");
            drop.bind(queue).bind(&limit.activity).execute(&mut *connection).await?;
            continue;
        }
        for statement in [PUT, CHANGE] {
            let write = sqlx::query(statement).bind(queue).bind(&limit.activity).bind(limit.most);
            write.bind(rate).bind(burst).bind(now).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
