//! A parent, its child `owned`, and a child of that: their closes, what they are told of each other (PROTOCOL 54, 55),
//! and what must hold for them.

use super::guarded::{result_of_child, write_close};
use super::ops::{Op, Told, fresh};
use super::scene::Scene;
use crate::status::ExecutionStatus;
use crate::store::decide::Concerned;
use crate::store::postgres::family::{forget, tell_children};
use crate::store::{Append, Close, CloseKind, Trouble};
use sqlx::PgConnection;

/// A turn that closes a run of the family.
pub(super) async fn close_of_family(
    op: Op,
    scene: &Scene,
    connection: &mut PgConnection,
) -> Result<Told, Trouble> {
    let (run, seq) = match op {
        Op::CloseChild => (scene.child, 1),
        Op::CloseNext => (fresh(scene, 0), 1),
        _ => (scene.parent, 2),
    };
    let (kind, status) = (CloseKind::Drained, ExecutionStatus::Completed);
    let close = Some(Close { kind, status, result: r#"{"completed":{"result":7}}"#.to_owned() });
    let append = Append { close, report: Some(result_of_child()), orphans: true, ..scene.turn(run, seq, 1) };
    write_close(scene, connection, &append).await
}

/// Tells the children of `parent` if it is marked. `Nothing`: it told none.
pub(super) async fn tell(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let mut told = 0;
    for run in marked(scene, &mut *connection).await? {
        let at = (run, scene.shared.clock.now_ms());
        told += tell_children(&mut *connection, &scene.shared, at, &mut Concerned::default()).await?;
    }
    Ok(Told::of(told > 0))
}

/// Takes the mark away if no child is left to be told.
pub(super) async fn forget_all(scene: &Scene, connection: &mut PgConnection) -> Result<(), Trouble> {
    for run in marked(scene, &mut *connection).await? {
        forget(&mut *connection, &scene.shared, run).await?;
    }
    Ok(())
}

/// Both statements of the sweep, here in one transaction. The triples have them apart.
pub(super) async fn slice(scene: &Scene, connection: &mut PgConnection) -> Result<Told, Trouble> {
    let told = tell(scene, connection).await?;
    forget_all(scene, connection).await?;
    Ok(told)
}

async fn marked(scene: &Scene, connection: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    let marked = "SELECT id FROM {s}.execution WHERE orphans AND id = ANY($1) ORDER BY id";
    sqlx::query_scalar(scene.shared.sql.of(marked)).bind(scene.runs()).fetch_all(connection).await
}

/// What holds at each moment.
pub(super) async fn check(scene: &Scene, what: &str) {
    let none = async |wrong: &'static str, rule: &str| {
        assert_eq!(scene.count(wrong).await, 0, "{what}: {rule}");
    };
    let forgotten = "SELECT count(*) FROM {s}.execution k JOIN {s}.execution p ON p.id = k.parent
        WHERE p.id = ANY($1) AND p.status >= 10 AND NOT p.orphans AND k.status < 10 AND k.close_policy > 0";
    none(forgotten, "a closed run has a child that is still to be told, and no mark").await;
    // A child is one chain of runs, and its end is that of the last one.
    let reports = "SELECT count(*) FROM (
            SELECT p.id, c.child_no, bool_or(c.status >= 10 AND c.next IS NULL) AS ended
            FROM {s}.execution c JOIN {s}.execution p ON p.id = c.parent
            WHERE p.id = ANY($1) AND p.status < 10 GROUP BY p.id, c.child_no) f
        WHERE f.ended::integer <> (SELECT count(*) FROM {s}.inbox i
            WHERE i.execution = f.id AND i.kind = 7 AND i.request_id = 'child/' || f.child_no)";
    none(reports, "an open parent has the end of each child that has ended, once").await;
    let unfollowed =
        "SELECT count(*) FROM {s}.execution e WHERE e.id = ANY($1) AND (e.status = 14) <> EXISTS (
        SELECT FROM {s}.execution n WHERE n.id = e.next AND n.chain = coalesce(e.chain, e.id))";
    none(unfollowed, "each run that was handed on has its successor").await;
    let unknown = "SELECT count(*) FROM {s}.execution e WHERE e.id = ANY($1) AND e.status < 10
        AND e.owner IS NOT NULL AND NOT EXISTS (SELECT FROM {s}.worker w WHERE w.id = e.owner)";
    none(unknown, "the owner of an open run does not exist").await;
    let twice =
        "SELECT count(*) FROM (SELECT workflow_id FROM {s}.execution WHERE status < 10 AND workflow_id IN (
            SELECT workflow_id FROM {s}.execution WHERE id = ANY($1))
        GROUP BY workflow_id HAVING count(*) > 1) t";
    none(twice, "two open runs of one id").await;
    let parked = "SELECT count(*) FROM {s}.inbox i JOIN {s}.execution e ON e.id = i.execution
        WHERE e.id = ANY($1) AND e.status = 0 AND i.parked";
    none(parked, "a message is parked under a run that goes on").await;
}

/// Sweeps until no run is marked. Each open child of a closed parent was told then, once.
pub(super) async fn settle(scene: &Scene, what: &str) {
    let mut connection = scene.connect().await;
    for _ in 0..3 {
        tell(scene, &mut connection).await.unwrap();
        forget_all(scene, &mut connection).await.unwrap();
    }
    assert!(marked(scene, &mut connection).await.unwrap().is_empty(), "{what}: a mark stays");
    check(scene, what).await;
    let untold = "SELECT count(*) FROM {s}.execution k JOIN {s}.execution p ON p.id = k.parent
        WHERE p.id = ANY($1) AND p.status >= 10 AND k.status < 10 AND 1 <> (SELECT count(*) FROM {s}.inbox i
            WHERE i.execution = k.id AND i.request_id = 'abide/parent-close'
                AND i.kind = CASE k.child_no WHEN 2 THEN 1 ELSE 8 END)";
    assert_eq!(scene.count(untold).await, 0, "{what}: an open child of a closed parent was told once");
}
