//! Runs that continue as new survive `kill -9` at any moment: no round is lost, and none is counted twice.

use crate::evidence::{Evidence, ran};
use crate::journal::number;
use crate::ledger::lines;
use crate::scene::{Scene, dice, within};
use crate::workflows::{persistent, rounds};
use std::time::Duration;

const ROUNDS: u64 = 5;

#[tokio::test]
async fn killed_at_any_moment_a_chain_goes_on() {
    let (scene, mut evidence, mut dice) = (Scene::new(), Evidence::default(), dice());
    let (client, mut runs) = (scene.client().await, Vec::new());
    for n in 0..12 {
        let id = format!("rounds-{n}");
        runs.push((n, client.start(rounds(n, ROUNDS, 0)).id(id).await.expect("it starts")));
    }
    for _ in 0..6 {
        let worker = scene.worker();
        tokio::time::sleep(dice.wait(Duration::from_millis(700))).await;
        worker.kill();
        evidence.check(&scene).await;
    }
    let worker = scene.worker();
    for (n, run) in &runs {
        let sum = (1..=ROUNDS).map(|left| 2 * (10 * n + left)).sum::<u64>();
        assert_eq!(within("it ends", run.result()).await.expect("it ends"), sum);
    }
    worker.stop();
    let executions = evidence.check(&scene).await;
    assert_eq!(executions.len() as u64, 12 * ROUNDS, "each round is one run");
    let open = "SELECT count(*) FROM execution WHERE status < 10";
    assert_eq!(number(scene.database(), open).await, 0);
    let without = "SELECT count(*) FROM execution e WHERE e.next IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM execution n WHERE n.id = e.next)";
    assert_eq!(number(scene.database(), without).await, 0, "each that was handed on has its successor");
    assert_eq!(ran(&lines(&scene.ledger())).len() as u64, 12 * ROUNDS, "each step ran for one run alone");
}

/// A failed run and the attempt that follows it are one commit: no attempt is lost, and none is made twice.
#[tokio::test]
async fn killed_at_any_moment_a_workflow_is_tried_again() {
    let (scene, mut evidence, mut dice) = (Scene::new(), Evidence::default(), dice());
    let (client, mut runs) = (scene.client().await, Vec::new());
    for n in 0..12 {
        let id = format!("persistent-{n}");
        runs.push((n, client.start(persistent(n, ROUNDS)).id(id).await.expect("it starts")));
    }
    for _ in 0..6 {
        let worker = scene.worker();
        tokio::time::sleep(dice.wait(Duration::from_millis(700))).await;
        worker.kill();
        evidence.check(&scene).await;
    }
    let worker = scene.worker();
    for (n, run) in &runs {
        assert_eq!(within("it ends", run.result()).await.expect("it ends"), 2 * (10 * n + ROUNDS));
    }
    worker.stop();
    let executions = evidence.check(&scene).await;
    assert_eq!(executions.len() as u64, 12 * ROUNDS, "each attempt is one run");
    let failed = "SELECT count(*) FROM execution WHERE status = 11 AND next IS NOT NULL";
    assert_eq!(number(scene.database(), failed).await as u64, 12 * (ROUNDS - 1));
    assert_eq!(ran(&lines(&scene.ledger())).len() as u64, 12 * ROUNDS, "each step ran for one run alone");
}
