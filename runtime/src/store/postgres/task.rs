//! Tasks: attempts that run in another process, and the rows that arbitrate them (PROTOCOL 22).

use super::beats::beat;
use super::held::fenced;
use super::limit::{self, keyed, plain};
use super::rows::{number, signed};
use super::shared::Shared;
use super::store::PostgresStore;
use crate::store::decide::{
    Concerned, Notify, Receiver, attempt_id, outcome_json, outcome_row, parking_statuses,
};
use crate::store::row::{self, all};
use crate::store::task::timed_out;
use crate::store::{
    Beat, Beaten, ClaimedTasks, OwnedTask, StoreError, StoreFuture, TaskClaim, TaskKey, Tasks, Trouble,
    WorkerLimit,
};
use abide_core::exec::AttemptOutcome;
use abide_core::{Incarnation, TimeoutKind};
use sqlx::{PgConnection, Row};

/// `$1` worker, `$2` queue, `$3` names, `$4` limit. By priority, then the oldest due first; each arm reads the index in
/// its order, and stops at the limit. Nothing where tasks with limits or keys are waiting: those and these are then
/// claimed together. The lease is asked for last, so that a
/// claim that finds nothing writes nothing, and tried only: a session that deletes it may wait for a task
/// (PROTOCOL 95).
pub(super) const CLAIM_TASKS: &str = concat!(
    "WITH chosen AS MATERIALIZED (
    SELECT t.execution, t.activity FROM unnest('{1,2,3,4,5}'::smallint[]) AS p(priority) CROSS JOIN LATERAL (
        SELECT t.execution, t.activity FROM {s}.task t
        WHERE ",
    plain!("t."),
    " AND NOT t.cancel AND t.queue = $2 AND t.priority = p.priority AND t.run_at <= (SELECT {now})
            AND t.name = ANY($3) AND (t.start_by IS NULL OR t.start_by > (SELECT {now}))
            AND (t.close_by IS NULL OR t.close_by > (SELECT {now}))
        ORDER BY t.run_at LIMIT $4 FOR UPDATE SKIP LOCKED) t
    WHERE (SELECT k.priority FROM {s}.task k WHERE ",
    keyed!("k."),
    " AND k.queue = $2 ORDER BY k.priority LIMIT 1) IS NULL
    LIMIT $4),
fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 AND EXISTS (SELECT FROM chosen)
    FOR KEY SHARE SKIP LOCKED),
taken AS (
    UPDATE {s}.task t SET owner = $1, nonce = (random() * 9007199254740991)::bigint FROM chosen c, fence
    WHERE t.execution = c.execution AND t.activity = c.activity AND t.owner IS NULL
    RETURNING t.*)
SELECT t.execution, t.activity, t.attempt, t.name, t.input, t.limits, t.run_at, t.close_by,
    e.workflow_id, e.run_id, e.type, t.nonce, t.details
FROM taken t JOIN {s}.execution e ON e.id = t.execution ORDER BY t.priority, t.run_at"
);

/// When the next one without limits and keys is due, and whether there are others. The order keeps the planner to the
/// index: it would take a plain `EXISTS` for found at once in the table.
pub(super) const NEXT_TASK: &str = concat!(
    "SELECT (SELECT min(t.run_at) FROM unnest('{1,2,3,4,5}'::smallint[]) AS p(priority) CROSS JOIN LATERAL (
        SELECT t.run_at FROM {s}.task t
        WHERE ",
    plain!("t."),
    " AND t.queue = $1 AND t.priority = p.priority AND t.name = ANY($2) ORDER BY t.run_at LIMIT 1) t),
    (SELECT k.priority FROM {s}.task k WHERE ",
    keyed!("k."),
    " AND k.queue = $1 ORDER BY k.priority LIMIT 1) IS NOT NULL"
);

/// `$1` worker, `$2` execution, `$3` activity, `$4` attempt, `$5` body, `$6` nonce. The execution first, then
/// the token, as a close does: they meet without a deadlock.
pub(super) const FINISH: &str = concat!(
    "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE),
receiver AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id = $2 AND status < 10 FOR KEY SHARE),
token AS (
    DELETE FROM {s}.task t USING fence, receiver r
    WHERE t.execution = r.id AND t.activity = $3 AND t.attempt = $4 AND t.owner = fence.worker AND t.nonce = $6
    RETURNING t.execution, CASE WHEN t.limit_key <> '' THEN t.queue END AS freed),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT r.id, 4, ",
    attempt_id!("$3", "$4"),
    ", $5, {now}, r.status ",
    parking_statuses!(),
    " FROM receiver r JOIN token ON token.execution = r.id
    ON CONFLICT DO NOTHING)
SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM token), (SELECT owner FROM receiver),
    (SELECT queue FROM receiver), (SELECT freed FROM token)"
);

/// For each that ends: the owner and the queue of its execution, and who runs it. `$1` the outcome where
/// no worker began it in time, `$2` where it did not end in time, `$3` of what was given back at the moment in
/// which it was asked to stop, `$4` and `$5` where a token's holder was silent for too long, or did not end it in time
/// (PROTOCOL 77).
pub(super) const EXPIRE: &str = concat!(
    "WITH late AS MATERIALIZED (
    (SELECT execution, activity, $1 AS outcome FROM {s}.task
        WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND start_by <= (SELECT {now})
        ORDER BY start_by LIMIT 100)
    UNION ALL
    (SELECT execution, activity, $2 FROM {s}.task
        WHERE queue IS NOT NULL AND close_by <= (SELECT {now})
            AND (owner IS NOT NULL OR start_by IS NULL OR start_by > (SELECT {now}))
        ORDER BY close_by LIMIT 100)
    UNION ALL
    (SELECT execution, activity, $3 FROM {s}.task
        WHERE owner IS NULL AND NOT handed AND queue IS NOT NULL AND cancel AND execution > 0 LIMIT 100)
    UNION ALL
    (SELECT execution, activity, $4 FROM {s}.task
        WHERE handed AND beat_by <= (SELECT {now}) AND (close_by IS NULL OR close_by > (SELECT {now}))
        ORDER BY beat_by LIMIT 100)
    UNION ALL
    (SELECT execution, activity, $5 FROM {s}.task
        WHERE handed AND end_by <= (SELECT {now}) AND (close_by IS NULL OR close_by > (SELECT {now}))
            AND (beat_by IS NULL OR beat_by > (SELECT {now}))
        ORDER BY end_by LIMIT 100)),
receivers AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id IN (SELECT execution FROM late) AND status < 10
    ORDER BY id FOR KEY SHARE),
held AS MATERIALIZED (
    SELECT t.execution, t.activity FROM {s}.task t JOIN late l ON t.execution = l.execution AND t.activity = l.activity
    WHERE (SELECT count(*) FROM receivers) >= 0 ORDER BY t.execution, t.activity FOR UPDATE OF t SKIP LOCKED),
gone AS (
    DELETE FROM {s}.task t USING late l JOIN receivers r ON r.id = l.execution
        JOIN held h ON h.execution = l.execution AND h.activity = l.activity
    WHERE t.execution = l.execution AND t.activity = l.activity AND t.queue IS NOT NULL
        AND (t.owner IS NULL AND NOT t.handed OR t.close_by <= (SELECT {now})
            OR t.handed AND (t.beat_by <= (SELECT {now}) OR t.end_by <= (SELECT {now})))
    RETURNING t.execution, t.activity, t.attempt, t.details, l.outcome, t.owner,
        CASE WHEN (t.owner IS NOT NULL OR t.handed) AND t.limit_key <> '' THEN t.queue END AS freed),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT ",
    outcome_row!("g.", "g.outcome"),
    ", {now}, r.status ",
    parking_statuses!(),
    " FROM gone g JOIN receivers r ON r.id = g.execution
    ON CONFLICT DO NOTHING)
SELECT r.owner, r.queue, g.owner, g.freed FROM gone g JOIN receivers r ON r.id = g.execution"
);

/// `$1` worker, `$2` executions, `$3` activities, `$4` attempts, `$5` the outcome of what its workflow has
/// asked to stop: never begun, it ends now. `$6` nonces: a claim since then has drawn another, and keeps its
/// task. Whom it concerns: who may claim a task, and the owner of an execution that has an outcome now.
const RELEASE: &str = concat!(
    "WITH receivers AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id = ANY($2) AND status < 10 ORDER BY id FOR KEY SHARE),
k AS MATERIALIZED (
    SELECT t.execution, t.activity, t.attempt, t.cancel
    FROM {s}.task t JOIN unnest($2::bigint[], $3::bigint[], $4::integer[], $6::bigint[])
        AS k(execution, activity, attempt, nonce)
        ON t.execution = k.execution AND t.activity = k.activity AND t.attempt = k.attempt AND t.nonce = k.nonce
    WHERE t.owner = $1 AND (SELECT count(*) FROM receivers) >= 0
    ORDER BY t.execution, t.activity FOR UPDATE OF t),
ended AS (
    DELETE FROM {s}.task t USING k WHERE t.execution = k.execution AND t.activity = k.activity AND k.cancel
    RETURNING t.execution, t.activity, t.attempt, t.details, t.queue),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT ",
    outcome_row!("e.", "$5"),
    ", {now}, r.status ",
    parking_statuses!(),
    "
    FROM ended e JOIN receivers r ON r.id = e.execution
    ON CONFLICT DO NOTHING),
free AS (
    UPDATE {s}.task t SET owner = NULL FROM k
    WHERE t.execution = k.execution AND t.activity = k.activity AND NOT k.cancel
    RETURNING t.queue)
SELECT NULL::bigint, queue FROM free UNION ALL SELECT NULL, queue FROM ended
UNION ALL SELECT r.owner, r.queue FROM ended e JOIN receivers r ON r.id = e.execution"
);

/// Takes unclaimed tasks.
pub(super) async fn claim_tasks(
    connection: &mut PgConnection,
    shared: &Shared,
    claim: &TaskClaim,
) -> Result<ClaimedTasks, Trouble> {
    let (mut tasks, mut next_due_ms) = (Vec::new(), None);
    for queue in &claim.queues {
        shared.limited().remove(queue);
        let room = i64::from(claim.limit) - tasks.len() as i64;
        let query =
            sqlx::query(shared.sql.of(CLAIM_TASKS)).bind(claim.owner.0).bind(queue).bind(&claim.names);
        for row in query.bind(room.max(0)).fetch_all(&mut *connection).await? {
            tasks.push(row::task(&row)?);
        }
        let next = sqlx::query_as::<_, (Option<i64>, bool)>(shared.sql.of(NEXT_TASK)).bind(queue);
        match next.bind(&claim.names).fetch_one(&mut *connection).await {
            Ok((next, is_keyed)) => {
                next_due_ms = next.into_iter().chain(next_due_ms).min();
                if is_keyed {
                    shared.limited().insert(queue.clone());
                }
            }
            // These tasks are claimed already: return them despite the error.
            Err(_) if !tasks.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    fenced(connection, shared, claim.owner, tasks.is_empty()).await?;
    Ok(ClaimedTasks { tasks, next_due_ms, turn: claim.turn.clone(), soon: false })
}

/// Ends an attempt: whom its outcome concerns, and the task queue in which there is room for another now. `None`: it
/// was decided otherwise.
pub(super) async fn finish(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    key: TaskKey,
    body: &str,
) -> Result<Option<(Receiver, Option<String>)>, Trouble> {
    let row = sqlx::query(shared.sql.of(FINISH))
        .bind(owner.0)
        .bind(key.execution.0)
        .bind(number(key.activity))
        .bind(signed(key.attempt))
        .bind(body)
        .bind(key.nonce)
        .fetch_one(connection)
        .await?;
    match (row.try_get::<i64, _>(0)?, row.try_get::<i64, _>(1)?) {
        (0, _) => Err(Trouble::Refused(StoreError::Fenced)),
        (_, 0) => Ok(None),
        _ => {
            let (owner, queue): (Option<i64>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
            let receiver = Receiver { owner: owner.map(Incarnation), queue: queue.unwrap_or_default() };
            Ok(Some((receiver, row.try_get(4)?)))
        }
    }
}

impl Tasks for PostgresStore {
    fn claim_tasks(&self, claim: TaskClaim) -> StoreFuture<'_, ClaimedTasks> {
        Box::pin(async move {
            let is_limited = |queue: &String| self.shared.limited().contains(queue);
            let mut claimed = ClaimedTasks { turn: claim.turn.clone(), ..ClaimedTasks::default() };
            if !claim.queues.iter().any(is_limited) {
                let claim = claim.clone();
                claimed = self
                    .once(move |shared, connection| {
                        let claim = claim.clone();
                        Box::pin(async move { claim_tasks(connection, shared, &claim).await })
                    })
                    .await?;
            }
            let limited: Vec<String> =
                claim.queues.iter().filter(|queue| is_limited(queue)).cloned().collect();
            for queue in limited {
                let some = self.claim_limited(claim.rest(&claimed), queue).await;
                match some {
                    Ok(some) => claimed.add(some),
                    // Claimed already: return them despite the error.
                    Err(_) if !claimed.tasks.is_empty() => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(claimed)
        })
    }

    fn limited(&self, queue: String) -> StoreFuture<'_, Vec<String>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query_scalar(shared.sql.of(limit::LIMITED)).bind(queue.clone());
            Box::pin(async move { Ok(query.fetch_all(connection).await?) })
        }))
    }

    fn set_limits(&self, queue: String, limits: Vec<WorkerLimit>) -> StoreFuture<'_, ()> {
        Box::pin(self.call(move |shared, connection| {
            let (queue, limits) = (queue.clone(), limits.clone());
            Box::pin(async move { limit::set(connection, shared, &queue, &limits).await })
        }))
    }

    fn finish_task(&self, owner: Incarnation, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = self.once(move |shared, connection| {
                let body = body.clone();
                Box::pin(async move { finish(connection, shared, owner, key, &body).await })
            });
            let ended = ended.await?;
            if let Some((receiver, freed)) = &ended {
                self.shared.notify_receiver(receiver);
                freed.iter().for_each(|queue| self.shared.notify_queue(queue));
            }
            Ok(ended.is_some())
        })
    }

    fn release_tasks(&self, owner: Incarnation, keys: Vec<TaskKey>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let concerned = self.once(move |shared, connection| {
                let executions: Vec<i64> = keys.iter().map(|key| key.execution.0).collect();
                let activities: Vec<i64> = keys.iter().map(|key| number(key.activity)).collect();
                let attempts: Vec<i32> = keys.iter().map(|key| signed(key.attempt)).collect();
                let query = sqlx::query(shared.sql.of(RELEASE));
                let query = query.bind(owner.0).bind(executions).bind(activities).bind(attempts);
                let nonces: Vec<i64> = keys.iter().map(|key| key.nonce).collect();
                let query = query.bind(outcome_json(&AttemptOutcome::Cancelled)).bind(nonces);
                Box::pin(async move {
                    let mut concerned = Concerned::default();
                    for row in query.fetch_all(connection).await? {
                        let owner: Option<i64> = row.try_get(0)?;
                        concerned.add(owner.map(Incarnation), row.try_get(1)?);
                    }
                    Ok(concerned)
                })
            });
            self.shared.notify_concerned(&concerned.await?);
            Ok(())
        })
    }

    fn owned_tasks(&self, owner: Incarnation) -> StoreFuture<'_, Vec<OwnedTask>> {
        Box::pin(async move {
            const QUERY: &str =
                "SELECT execution, activity, attempt, nonce, cancel FROM {s}.task WHERE owner = $1";
            self.read(move |shared, connection| {
                let query = sqlx::query(shared.sql.of(QUERY)).bind(owner.0);
                Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::owned_task)?) })
            })
            .await
        })
    }

    fn beat(&self, owner: Incarnation, beats: Vec<Beat>) -> StoreFuture<'_, Vec<Beaten>> {
        Box::pin(async move {
            self.once(move |shared, connection| {
                let beats = beats.clone();
                Box::pin(async move { beat(connection, shared, owner, &beats).await })
            })
            .await
        })
    }

    fn expire_tasks(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            let expired = self.once(move |shared, connection| {
                Box::pin(async move {
                    let query = sqlx::query(shared.sql.of(EXPIRE))
                        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToStart)))
                        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToClose)))
                        .bind(outcome_json(&AttemptOutcome::Cancelled))
                        .bind(outcome_json(&timed_out(TimeoutKind::Heartbeat)))
                        .bind(outcome_json(&timed_out(TimeoutKind::StartToClose)));
                    let (mut expired, mut concerned) = (0, Concerned::default());
                    for row in query.fetch_all(connection).await? {
                        let (owner, runner): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(2)?);
                        expired += 1;
                        concerned.add(owner.map(Incarnation), row.try_get(1)?);
                        concerned.add(runner.map(Incarnation), None);
                        concerned.add(None, row.try_get(3)?);
                    }
                    Ok((expired, concerned))
                })
            });
            let (expired, concerned) = expired.await?;
            self.shared.notify_concerned(&concerned);
            Ok(expired)
        })
    }
}

impl PostgresStore {
    /// Claims in a queue with limits or keys.
    async fn claim_limited(&self, claim: TaskClaim, queue: String) -> Result<ClaimedTasks, StoreError> {
        self.call(move |shared, connection| {
            let (claim, queue) = (claim.clone(), queue.clone());
            Box::pin(async move {
                let (claimed, is_keyed) = limit::claim(connection, shared, &claim, &queue).await?;
                if !is_keyed {
                    shared.limited().remove(&queue);
                }
                Ok(claimed)
            })
        })
        .await
    }
}
