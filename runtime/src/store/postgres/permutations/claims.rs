//! Claims, and what ends without its owner.

use super::ops::{Op, Told};
use super::scene::Scene;
use crate::store::Trouble;
use crate::store::decide::outcome_json;
use crate::store::postgres::claim;
use crate::store::postgres::ends::CLAIM_ENDS;
use crate::store::postgres::task::{EXPIRE, claim_tasks};
use crate::store::task::timed_out;
use crate::store::{Claim, Suspicion, TaskClaim};
use abide_core::exec::AttemptOutcome;
use abide_core::{Incarnation, TimeoutKind};
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
        Op::ClaimTasks => take_task(scene, connection, claimant).await,
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

async fn take_task(
    scene: &Scene,
    connection: &mut PgConnection,
    owner: Incarnation,
) -> Result<Told, Trouble> {
    let claim =
        TaskClaim { owner, queues: vec![scene.queue("nobody")], names: vec!["step".into()], limit: 10 };
    Ok(Told::of(!claim_tasks(connection, &scene.shared, &claim).await?.tasks.is_empty()))
}

/// Ends the attempts whose time has run out.
pub(super) async fn expire(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let expire = sqlx::query(scene.shared.sql.of(EXPIRE))
        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToStart)))
        .bind(outcome_json(&timed_out(TimeoutKind::ScheduleToClose)))
        .bind(outcome_json(&AttemptOutcome::Cancelled));
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
