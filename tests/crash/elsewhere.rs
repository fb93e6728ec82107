//! Activities elsewhere, and `kill -9`: of the workflow's process, which costs them nothing, and of their
//! own, which costs an attempt and no more.

use crate::evidence::{Ran, ran};
use crate::ledger::lines;
use crate::scene::{Scene, dice, eventually, within};
use crate::workflows::far;
use std::collections::BTreeMap;
use std::time::Duration;

/// What began, by the activity's argument.
fn begun(scene: &Scene) -> BTreeMap<u64, Ran> {
    ran(&lines(&scene.ledger())).into_values().map(|ran| (ran.n, ran)).collect()
}

#[tokio::test]
async fn the_workflows_process_is_killed_and_no_attempt_is_lost() {
    let (scene, mut dice) = (Scene::new(), dice());
    let (client, farm) = (scene.client().await, scene.ready("farm", &[]));
    let mut worker = scene.worker();
    let mut runs = Vec::new();
    for n in 0..20 {
        runs.push((n, client.start(far(n, 600)).await.expect("it starts")));
    }
    eventually("all run", async || begun(&scene).len() == 20).await;
    for _ in 0..3 {
        worker.kill();
        worker = scene.worker();
        tokio::time::sleep(dice.wait(Duration::from_millis(150))).await;
    }
    for (n, run) in &runs {
        let ended = within("it ends", run.result()).await.expect("it completes");
        assert_eq!(ended, format!("ok {}", 20 * n));
    }
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1"] && ran.finished == 1));
    farm.stop();
    worker.stop();
}

#[tokio::test]
async fn its_own_process_is_killed_at_any_moment_and_it_runs_at_most_once() {
    let (scene, mut runs, mut dice) = (Scene::new(), Vec::new(), dice());
    let (client, worker) = (scene.client().await, scene.worker());
    for round in 0..6 {
        let farm = scene.ready("farm", &[]);
        for n in 10 * round..10 * round + 10 {
            runs.push((n, client.start(far(n, n % 7)).await.expect("it starts")));
        }
        tokio::time::sleep(dice.wait(Duration::from_millis(100))).await;
        farm.kill();
    }
    let farm = scene.ready("farm", &[]);
    for (n, run) in &runs {
        let ended = within("it ends", run.result()).await.expect("it ends");
        let ran = begun(&scene).remove(&(10 * n)).unwrap_or_default();
        assert!(ran.attempts.len() <= 1, "{n} ran {:?}", ran.attempts);
        match ended.as_str() {
            "worker lost" => {}
            ok => assert_eq!((ok, ran.finished), (format!("ok {}", 20 * n).as_str(), 1)),
        }
    }
    farm.stop();
    worker.stop();
}
