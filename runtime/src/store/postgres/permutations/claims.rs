//! Claims, and what ends without its owner.

use super::ops::{Op, Told};
use super::scene::Scene;
use crate::store::Trouble;
use crate::store::decide::outcome_json;
use crate::store::postgres::ends::CLAIM_ENDS;
use crate::store::postgres::store::PostgresStore;
use crate::store::postgres::task::{EXPIRE, claim_tasks};
use crate::store::postgres::{claim, limit};
use crate::store::task::timed_out;
use crate::store::{Claim, NewTask, Place, QueueTurn, Suspicion, TaskClaim, Tasks, WorkerLimit};
use abide_core::exec::AttemptOutcome;
use abide_core::{EventId, Incarnation, TimeoutKind};
use sqlx::{AssertSqlSafe, PgConnection};

/// A claim of this kind. Each side has its own claimant.
pub(super) async fn claim_of(
    op: Op,
    scene: &Scene,
    connection: &mut PgConnection,
    side: usize,
) -> Result<Told, Trouble> {
    let claimant = if side == 0 { scene.other } else { scene.third };
    match op {
        Op::Claim => Ok(Told::of(!claim_work(scene, connection, claimant).await?.is_empty())),
        Op::ClaimTasks => {
            let claim = tasks_of(scene, claimant, "nobody");
            Ok(Told::of(!claim_tasks(connection, &scene.shared, &claim).await?.tasks.is_empty()))
        }
        Op::LimitedClaim => {
            // Each side begins with a task of its own, so that only the limit keeps the second from running.
            let fair_key = if side == 0 { String::new() } else { "50".to_owned() };
            let turn = QueueTurn { fair_key, limit_key: "step".to_owned(), left: 0 };
            let queue = scene.queue("limited");
            let claim = TaskClaim { turn, ..tasks_of(scene, claimant, "limited") };
            let (claimed, _) = limit::claim(connection, &scene.shared, &claim, &queue).await?;
            Ok(Told::of(!claimed.tasks.is_empty()))
        }
        Op::Offer => {
            let claim = Claim { queues: vec![scene.queue("parked")], ..work(scene, claimant) };
            let now = scene.shared.clock.now_ms();
            Ok(Told::of(!claim::claim_offered(connection, &scene.shared, &claim, now).await?.is_empty()))
        }
        _ => Ok(Told::of(!claim_ends(scene, connection, claimant).await?.is_empty())),
    }
}

/// Claims in the scene's task queue; what it got.
pub(super) async fn claim_work(
    scene: &Scene,
    connection: &mut PgConnection,
    owner: Incarnation,
) -> Result<Vec<i64>, Trouble> {
    let claim = work(scene, owner);
    let claimed = claim::claim(connection, &scene.shared, &claim, scene.shared.clock.now_ms()).await?;
    Ok(claimed.rows.iter().map(|row| row.id.0).collect())
}

fn work(scene: &Scene, owner: Incarnation) -> Claim {
    Claim {
        owner,
        queues: vec![scene.name.clone()],
        types: Some(vec!["Order".into()]),
        build: "b1".into(),
        limit: 10,
        suspicion: Suspicion { suspect: None, crash_limit: 5 },
    }
}

fn tasks_of(scene: &Scene, owner: Incarnation, of: &str) -> TaskClaim {
    let (queues, names) = (vec![scene.queue(of)], vec!["step".into()]);
    TaskClaim { owner, queues, names, limit: 10, turn: QueueTurn::default() }
}

/// Ends the attempts whose time has run out.
pub(super) async fn expire(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let expire = sqlx::query(scene.shared.sql.of(EXPIRE))
        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToStart)))
        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToClose)))
        .bind(outcome_json(&AttemptOutcome::Cancelled))
        .bind(outcome_json(&timed_out(TimeoutKind::Heartbeat)))
        .bind(outcome_json(&timed_out(TimeoutKind::StartToClose)));
    expire.execute(connection).await?;
    Ok(Told::Done)
}

/// Claims runs that end without code; what it got. Such a claim is of any task queue. Scenes run at the same time, so
/// each asks for its own workflow ids, and else by the same text.
pub(super) async fn claim_ends(
    scene: &Scene,
    connection: &mut PgConnection,
    owner: Incarnation,
) -> Result<Vec<i64>, Trouble> {
    let (any, own) = ("owner IS NULL", "owner IS NULL AND starts_with(workflow_id, $4)");
    assert_eq!(CLAIM_ENDS.matches(any).count(), 3, "both arms and the update");
    let text = scene.shared.sql.fill(&CLAIM_ENDS.replace(any, own));
    let claim = sqlx::query_scalar(AssertSqlSafe(text)).bind(owner.0).bind(scene.shared.clock.now_ms());
    Ok(claim.bind(10_i64).bind(format!("{}-", scene.name)).fetch_all(connection).await?)
}

/// Two tasks of `owned` in a task queue where one may run at once.
pub(super) async fn limit_one(scene: &Scene, store: &PostgresStore) {
    let limit = WorkerLimit { activity: "step".to_owned(), most: Some(1), rate: None };
    store.set_limits(scene.queue("limited"), vec![limit]).await.unwrap();
    let mut connection = scene.connect().await;
    for n in [50, 51] {
        let NewTask { activity, name, input, limits, queue, place, .. } = NewTask {
            place: Place { limit_key: "step".to_owned(), fair_key: n.to_string(), ..Place::default() },
            ..scene.task(EventId(n), 1, Some("limited"))
        };
        let insert = "INSERT INTO {s}.task
            (execution, activity, attempt, queue, name, input, limits, run_at, limit_key, fair_key)
            VALUES ($1, $2, 1, $3, $4, $5, $6, 1, $7, $8)";
        let insert =
            sqlx::query(scene.shared.sql.of(insert)).bind(scene.owned.0).bind(activity.0.cast_signed());
        let insert =
            insert.bind(queue).bind(name).bind(input).bind(limits).bind(place.limit_key).bind(place.fair_key);
        insert.execute(&mut *connection).await.unwrap();
    }
}
