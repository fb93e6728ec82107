//! Claims in a task queue with limits or keys, and the limits themselves (PROTOCOL 78, 79).
//!
//! A transaction of its own. It reads what is waiting, tries to lock the limits' rows in the order of their keys, and
//! counts what runs by a *second* statement: the first one's snapshot is older than its locks. What may begin is
//! decided in [`pick`].

use super::held::fenced;
use super::rows::number;
use super::shared::Shared;
use crate::store::decide::{Candidate, CandidateTask, GROUPS_AT_ONCE, LimitRow, Rooms, pick};
use crate::store::row;
use crate::store::{ClaimedTasks, QueueTurn, TaskClaim, Trouble, WorkerLimit};
use abide_core::{EventId, ExecutionId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;

/// What no worker has, without limits and keys: the index `task_due` is of these words.
macro_rules! plain {
    ($t:literal) => {
        concat!(
            $t,
            "owner IS NULL AND NOT ",
            $t,
            "handed AND ",
            $t,
            "queue IS NOT NULL AND ",
            $t,
            "limit_key = '' AND ",
            $t,
            "fair_key = ''"
        )
    };
}
pub(super) use plain;

/// What no worker has, with a limit or a key: the index `task_keyed` is of these words.
macro_rules! keyed {
    ($t:literal) => {
        concat!(
            $t,
            "owner IS NULL AND NOT ",
            $t,
            "handed AND ",
            $t,
            "queue IS NOT NULL AND (",
            $t,
            "limit_key <> '' OR ",
            $t,
            "fair_key <> '')"
        )
    };
}
pub(super) use keyed;

/// The due tasks of one key, `least` at most, and the first that is not due yet. `$1` queue, `$2` names, `$3` limit.
macro_rules! tasks_of {
    ($is:expr, $most:literal) => {
        concat!(
            "((SELECT t.execution, t.activity, t.name, t.run_at, t.weight, true AS is_due FROM {s}.task t
        WHERE ",
            $is,
            " AND NOT t.cancel AND t.run_at <= (SELECT {now}) AND t.name = ANY($2)
            AND (t.start_by IS NULL OR t.start_by > (SELECT {now}))
            AND (t.close_by IS NULL OR t.close_by > (SELECT {now}))
        ORDER BY t.run_at LIMIT ",
            $most,
            ")
    UNION ALL
    (SELECT t.execution, t.activity, t.name, t.run_at, t.weight, false FROM {s}.task t
        WHERE ",
            $is,
            " AND t.run_at > (SELECT {now}) AND t.name = ANY($2) ORDER BY t.run_at LIMIT 1))"
        )
    };
}

/// `$4`, `$5` the keys after which the turn goes on, `$6` how many keys to look at on each side. The walk goes from key
/// to key, however many tasks each has. A key that is there comes even if nothing of it is due.
pub(super) const CANDIDATES: &str = concat!(
    "SELECT g.priority, g.fair_key, g.limit_key, t.execution, t.activity, t.name, t.run_at, t.weight, t.is_due
FROM (SELECT p.priority, k.fair_key, k.limit_key,
        greatest(ceil($3::float8 / count(*) OVER (PARTITION BY p.priority)), 1)::bigint AS most
    FROM unnest('{1,2,3,4,5}'::smallint[]) AS p(priority)
    CROSS JOIN (VALUES (true, $4::text COLLATE \"C\", $5::text COLLATE \"C\"), (false, '', '')) AS s(ahead, fair_key, \
    limit_key)
    CROSS JOIN LATERAL (
        WITH RECURSIVE g AS (
            SELECT s.fair_key, s.limit_key, 0 AS n
            UNION ALL
            SELECT k.fair_key, k.limit_key, g.n + 1 FROM g CROSS JOIN LATERAL (
                SELECT k.fair_key, k.limit_key FROM {s}.task k
                WHERE ",
    keyed!("k."),
    " AND k.queue = $1 AND k.priority = p.priority
                    AND (k.fair_key, k.limit_key) > (g.fair_key, g.limit_key)
                ORDER BY k.fair_key, k.limit_key LIMIT 1) k
            WHERE g.n < $6 AND (s.ahead OR (k.fair_key, k.limit_key) <= ($4::text, $5::text)))
        SELECT g.fair_key, g.limit_key FROM g WHERE g.n > 0) k) g
LEFT JOIN LATERAL ",
    tasks_of!(
        concat!(
            keyed!("t."),
            " AND t.queue = $1 AND t.priority = g.priority AND t.fair_key = g.fair_key
            AND t.limit_key = g.limit_key"
        ),
        "g.most"
    ),
    " t ON true
UNION ALL
SELECT p.priority, '', '', t.execution, t.activity, t.name, t.run_at, t.weight, t.is_due
FROM unnest('{1,2,3,4,5}'::smallint[]) AS p(priority) CROSS JOIN LATERAL ",
    tasks_of!(concat!(plain!("t."), " AND t.queue = $1 AND t.priority = p.priority"), "$3"),
    " t"
);

/// The limits of keys that have none yet are those of their activities. `$1` queue, `$2` keys, `$3` activities.
const ADOPT: &str = "INSERT INTO {s}.queue_limit (queue, key, activity, most, rate, burst, tokens, at)
    SELECT $1, k.key, l.key, l.most, l.rate, l.burst, l.burst, {now}
    FROM unnest($2::text[], $3::text[]) AS k(key, activity)
        JOIN {s}.queue_limit l ON l.queue = $1 AND l.key = k.activity
    WHERE k.key <> k.activity AND NOT EXISTS (SELECT FROM {s}.queue_limit o WHERE o.queue = $1 AND o.key = k.key)
    ORDER BY k.key ON CONFLICT DO NOTHING";

/// `$1` queue, `$2` keys.
pub(super) const LOCK: &str = "SELECT l.key, l.most, l.rate, l.burst, l.tokens, l.at, 0::bigint
    FROM {s}.queue_limit l WHERE l.queue = $1 AND l.key = ANY($2) ORDER BY l.key FOR UPDATE SKIP LOCKED";

/// A mutant: it waits for the lock, and counts by the snapshot from before.
const LOCK_AND_COUNT: &str = "SELECT l.key, l.most, l.rate, l.burst, l.tokens, l.at,
        (SELECT count(*) FROM {s}.task t
            WHERE t.queue = $1 AND t.limit_key = l.key AND t.limit_key <> '' AND (t.owner IS NOT NULL OR t.handed))
    FROM {s}.queue_limit l WHERE l.queue = $1 AND l.key = ANY($2) ORDER BY l.key FOR UPDATE";

/// `$1` queue, `$2` keys: how many run, and whether there is a limit.
pub(super) const COUNT: &str = "SELECT k.key,
    (SELECT count(*) FROM {s}.task t
        WHERE t.queue = $1 AND t.limit_key = k.key AND t.limit_key <> '' AND (t.owner IS NOT NULL OR t.handed)),
    EXISTS (SELECT FROM {s}.queue_limit l WHERE l.queue = $1 AND l.key = k.key), {now}
    FROM unnest($2::text[]) AS k(key)";

/// `$1` worker, `$2` executions, `$3` activities, `$4` limit keys, `$5` queue; `$6` limits with `$7` their tokens at
/// `$8`. A task that another has taken or changed since is passed over.
pub(super) const TAKE: &str = "WITH held AS MATERIALIZED (
    SELECT t.execution, t.activity FROM {s}.task t
        JOIN unnest($2::bigint[], $3::bigint[], $4::text[]) AS c(execution, activity, limit_key)
        ON t.execution = c.execution AND t.activity = c.activity AND t.limit_key = c.limit_key
    WHERE t.owner IS NULL AND NOT t.handed AND NOT t.cancel AND t.queue = $5 AND t.run_at <= (SELECT {now})
    ORDER BY t.execution, t.activity FOR UPDATE OF t SKIP LOCKED),
fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 AND EXISTS (SELECT FROM held)
    FOR KEY SHARE SKIP LOCKED),
taken AS (
    UPDATE {s}.task t SET owner = $1, nonce = (random() * 9007199254740991)::bigint FROM held c, fence
    WHERE t.execution = c.execution AND t.activity = c.activity AND t.owner IS NULL
    RETURNING t.*),
spent AS (
    UPDATE {s}.queue_limit l SET tokens = k.tokens - x.n, at = $8
    FROM unnest($6::text[], $7::float8[]) AS k(key, tokens)
        JOIN (SELECT limit_key, count(*) AS n FROM taken GROUP BY limit_key) x ON x.limit_key = k.key
    WHERE l.queue = $5 AND l.key = k.key)
SELECT t.execution, t.activity, t.attempt, t.name, t.input, t.limits, t.run_at, t.close_by,
    e.workflow_id, e.run_id, e.type, t.nonce, t.details
FROM taken t JOIN {s}.execution e ON e.id = t.execution ORDER BY t.priority, t.run_at";

/// `$1` the most. The limits of keys that nothing has begun of for an hour, and that are full again. One that is
/// taken at this moment has another time, which the lock shows.
pub(super) const FORGET: &str = "DELETE FROM {s}.queue_limit l USING (
        SELECT o.queue, o.key FROM {s}.queue_limit o
        WHERE o.key <> o.activity AND o.at < {now} - 3600000
            AND (o.rate IS NULL OR o.tokens + ({now} - o.at) / 1000.0 * o.rate >= o.burst)
            AND NOT EXISTS (SELECT FROM {s}.task t WHERE t.queue = o.queue AND t.limit_key = o.key
                AND t.limit_key <> '' AND (t.owner IS NOT NULL OR t.handed))
        LIMIT $1 FOR UPDATE SKIP LOCKED) f
    WHERE l.queue = f.queue AND l.key = f.key";

fn candidate(row: &PgRow) -> sqlx::Result<Candidate> {
    let task = match row.try_get::<Option<i64>, _>(3)? {
        None => None,
        Some(execution) => Some(CandidateTask {
            execution: ExecutionId(execution),
            activity: EventId(row.try_get::<i64, _>(4)?.unsigned_abs()),
            name: row.try_get(5)?,
            run_at_ms: row.try_get(6)?,
            weight: row.try_get(7)?,
            is_due: row.try_get(8)?,
        }),
    };
    Ok(Candidate { priority: row.try_get(0)?, fair_key: row.try_get(1)?, limit_key: row.try_get(2)?, task })
}

/// Locks the rows of these limits and counts what runs. Also: the database's time.
pub(super) async fn rooms(
    connection: &mut PgConnection,
    shared: &Shared,
    queue: &str,
    limits: &BTreeMap<String, String>,
) -> Result<(Rooms, i64), Trouble> {
    let keys: Vec<&String> = limits.keys().collect();
    if limits.iter().any(|(key, activity)| key != activity) {
        let activities: Vec<&String> = limits.values().collect();
        let adopt = sqlx::query(shared.sql.of(ADOPT)).bind(queue).bind(&keys).bind(activities);
        adopt.execute(&mut *connection).await?;
    }
    let is_mutant = mutant!(CountWithLock);
    let lock = if is_mutant { LOCK_AND_COUNT } else { LOCK };
    let lock = sqlx::query(shared.sql.of(lock)).bind(queue).bind(&keys);
    let mut locked: BTreeMap<String, LimitRow> = BTreeMap::new();
    for row in lock.fetch_all(&mut *connection).await? {
        let (most, rate, burst, tokens) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let (at_ms, running) = (row.try_get(5)?, row.try_get(6)?);
        locked.insert(row.try_get(0)?, LimitRow { most, rate, burst, tokens, at_ms, running });
    }
    let (mut rooms, mut now_ms) = (Rooms::default(), 0);
    let count = sqlx::query(shared.sql.of(COUNT)).bind(queue).bind(&keys);
    for row in count.fetch_all(&mut *connection).await? {
        let (key, running, exists): (String, i64, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        now_ms = row.try_get(3)?;
        match locked.remove(&key) {
            Some(limit) if is_mutant => rooms.locked(key, limit, now_ms),
            Some(limit) => rooms.locked(key, LimitRow { running, ..limit }, now_ms),
            None if exists => rooms.held(key),
            None => {}
        }
    }
    Ok((rooms, now_ms))
}

/// Claims in this queue, within a transaction. False: nothing with limits or keys is waiting there.
pub(super) async fn claim(
    connection: &mut PgConnection,
    shared: &Shared,
    claim: &TaskClaim,
    queue: &str,
) -> Result<(ClaimedTasks, bool), Trouble> {
    let QueueTurn { fair_key, limit_key, .. } = &claim.turn;
    let candidates = sqlx::query(shared.sql.of(CANDIDATES)).bind(queue).bind(&claim.names);
    let candidates = candidates.bind(i64::from(claim.limit)).bind(fair_key).bind(limit_key);
    let candidates = candidates.bind(GROUPS_AT_ONCE as i64).fetch_all(&mut *connection).await?;
    let candidates = candidates.iter().map(candidate).collect::<sqlx::Result<Vec<_>>>()?;
    let is_keyed =
        candidates.iter().any(|candidate| !candidate.limit_key.is_empty() || !candidate.fair_key.is_empty());
    let limits = Candidate::limits(&candidates);
    let (mut rooms, now_ms) = match limits.is_empty() {
        true => (Rooms::default(), 0),
        false => rooms(connection, shared, queue, &limits).await?,
    };
    let picked = pick(&candidates, &mut rooms, claim.limit as usize, &claim.turn, now_ms);
    let mut tasks = Vec::new();
    if !picked.tasks.is_empty() {
        let chosen = || picked.tasks.iter().map(|index| &candidates[*index]);
        let keys = || chosen().filter_map(|candidate| candidate.task.as_ref());
        let (locked, tokens): (Vec<&str>, Vec<f64>) = rooms.tokens(now_ms).unzip();
        let take = sqlx::query(shared.sql.of(TAKE))
            .bind(claim.owner.0)
            .bind(keys().map(|task| task.execution.0).collect::<Vec<_>>())
            .bind(keys().map(|task| number(task.activity)).collect::<Vec<_>>())
            .bind(chosen().map(|candidate| candidate.limit_key.as_str()).collect::<Vec<_>>())
            .bind(queue)
            .bind(locked)
            .bind(tokens)
            .bind(now_ms);
        for row in take.fetch_all(&mut *connection).await? {
            tasks.push(row::task(&row)?);
        }
    }
    fenced(connection, shared, claim.owner, tasks.is_empty()).await?;
    let (turn, next_due_ms, soon) = (picked.turn, picked.next_due_ms, picked.soon);
    Ok((ClaimedTasks { tasks, next_due_ms, turn, soon }, is_keyed))
}

pub(super) const LIMITED: &str = "SELECT key FROM {s}.queue_limit WHERE queue = $1 AND key = activity";

/// Writes these limits of a queue's activities; without a limit, deletes theirs. In the order of their keys, so that
/// two workers that start at once meet without a deadlock.
pub(super) async fn set(
    connection: &mut PgConnection,
    shared: &Shared,
    queue: &str,
    limits: &[WorkerLimit],
) -> Result<(), Trouble> {
    const PUT: &str = "INSERT INTO {s}.queue_limit AS l (queue, key, activity, most, rate, burst, tokens, at)
        VALUES ($1, $2, $2, $3, $4, $5, $5, {now})
        ON CONFLICT (queue, key) DO UPDATE SET most = $3, rate = $4, burst = $5, tokens = least(l.tokens, $5)
        WHERE (l.most, l.rate, l.burst) IS DISTINCT FROM ($3, $4, $5)";
    const OF_KEYS: &str = "WITH k AS MATERIALIZED (SELECT key FROM {s}.queue_limit
            WHERE queue = $1 AND activity = $2 AND key <> $2 AND (most, rate, burst) IS DISTINCT FROM ($3, $4, $5)
            ORDER BY key FOR UPDATE)
        UPDATE {s}.queue_limit l SET most = $3, rate = $4, burst = $5, tokens = least(l.tokens, $5) FROM k
        WHERE l.queue = $1 AND l.key = k.key";
    const DROP: &str = "WITH k AS MATERIALIZED (
            SELECT key FROM {s}.queue_limit WHERE queue = $1 AND activity = $2 ORDER BY key FOR UPDATE)
        DELETE FROM {s}.queue_limit l USING k WHERE l.queue = $1 AND l.key = k.key";
    for limit in limits {
        let (rate, burst) = limit.rate.map_or((None, 1.0), |(rate, burst)| (Some(rate), burst));
        if limit.is_none() {
            let drop = sqlx::query(shared.sql.of(DROP)).bind(queue).bind(&limit.activity);
            drop.execute(&mut *connection).await?;
            continue;
        }
        for statement in [PUT, OF_KEYS] {
            let write = sqlx::query(shared.sql.of(statement)).bind(queue).bind(&limit.activity);
            write.bind(limit.most).bind(rate).bind(burst).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
