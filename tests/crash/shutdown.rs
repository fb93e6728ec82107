//! Killed in the middle of a graceful shutdown: no worse than killed at work.

use crate::evidence::Evidence;
use crate::expected::{all_right, trips_were_undone};
use crate::journal::number;
use crate::scene::{Scene, dice, eventually};
use std::time::Duration;

const KILLS: u64 = 10;

#[tokio::test]
async fn a_shutdown_that_is_killed_loses_and_repeats_nothing() {
    let (scene, mut evidence, mut dice) = (Scene::new(), Evidence::default(), dice());
    let mut killed = 0;
    while killed < KILLS {
        // Few slots, so that activities wait; a grace that some of them outlast.
        let variables = [("VICTIM_GRACE_MS", "10"), ("VICTIM_SLOTS", "3"), ("VICTIM_MAX_CRASHES", "1000000")];
        let mut worker = scene.ready("both", &variables);
        tokio::time::sleep(dice.wait(Duration::from_millis(400))).await;
        worker.ask_to_stop();
        tokio::time::sleep(dice.wait(Duration::from_millis(60))).await;
        killed += u64::from(worker.kill());
        evidence.check(&scene).await;
    }
    std::fs::write(scene.path("stop"), "").expect("it can be written");
    let mut worker = scene.ready("both", &[("VICTIM_MAX_CRASHES", "1000000")]);
    // It may still start its last one while no other is open.
    worker.until_says("sent");
    let open = "SELECT count(*) FROM execution WHERE status < 10";
    eventually("everything completes", async || number(scene.database(), open).await == 0).await;
    worker.stop();
    let executions = evidence.check(&scene).await;
    assert!(!executions.is_empty());
    all_right(executions.values());
    trips_were_undone(executions.values());
}
