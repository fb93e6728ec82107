//! An activity that ends its process each time (PROTOCOL 19): its execution is suspended, and no other.

use crate::evidence::ran;
use crate::journal::{Execution, read};
use crate::ledger::lines;
use crate::scene::{Scene, eventually};
use crate::workflows::{Letters, culprit, fan, sequence, ticks};
use abide::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn only_the_execution_that_kills_its_process_is_suspended() {
    let scene = Scene::new();
    let client = scene.client().await;
    let mut innocents = Vec::new();
    for n in 0..3 {
        innocents
            .push(client.start(sequence(n, 3, 150)).id(format!("sequence-{n}")).await.expect("it starts"));
    }
    let wide = client.start(fan(7, 20, 300)).id("fan").await.expect("it starts");
    let waits = client.start(Letters::run(1)).id("letters").await.expect("it starts");
    let guilty = client.start(culprit(9, 60)).id("culprit").await.expect("it starts");

    let mut deaths = 0;
    let mut worker = scene.worker();
    while !settled(&scene).await {
        if worker.has_ended() {
            deaths += 1;
            assert!(deaths <= 5, "the loop goes on");
            worker = scene.spawn("work");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    assert_eq!(deaths, 5);
    for (n, run) in (0..).zip(&innocents) {
        assert_eq!(run.result().await.expect("it completes"), 2 * (30 * n + 3));
    }
    assert_eq!(wide.result().await.expect("it completes").len(), 20);
    waits.letter(4).await.expect("it takes a letter");
    assert_eq!(waits.result().await.expect("it completes"), [8]);
    let Err(WorkflowError::Suspended(reason)) = guilty.result().await else { panic!("it is suspended") };
    assert_eq!(reason.code(), "AB0205");
    let ran = ran(&lines(&scene.ledger()));
    let guilty_runs: Vec<_> = ran.values().filter(|ran| ran.name == "Work.abort").collect();
    assert_eq!(guilty_runs[0].attempts, ["1", "2", "3", "4", "5"]);
    worker.stop();
}

/// Each death finds its timer due, and each worker fires one: that is progress.
#[tokio::test]
async fn an_execution_that_only_sleeps_is_never_the_culprit() {
    let scene = Scene::new();
    let client = scene.client().await;
    let run = client.start(ticks(10, 30)).id("ticks").await.expect("it starts");
    let fired = async || {
        let executions = read(&scene.path("abide.db")).await;
        executions.values().flat_map(Execution::events).filter(|(_, kind, _)| *kind == "timer_fired").count()
    };
    for _ in 0..7 {
        let before = fired().await;
        let worker = scene.worker();
        eventually("a timer fires", async || fired().await > before).await;
        worker.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let worker = scene.worker();
    assert_eq!(run.result().await.expect("it completes"), 10);
    worker.stop();
}

/// All but the culprit and the one that waits for a letter are closed, and the culprit is suspended. Nothing else
/// ever is.
async fn settled(scene: &Scene) -> bool {
    let executions: BTreeMap<i64, Execution> = read(&scene.path("abide.db")).await;
    for execution in executions.values() {
        let innocent = execution.workflow_id != "culprit";
        assert!(
            !innocent || execution.status != 1,
            "{} is suspended: {:?}",
            execution.workflow_id,
            execution.suspension
        );
    }
    executions.values().all(|execution| match execution.workflow_id.as_str() {
        "culprit" => execution.status == 1,
        "letters" => true,
        _ => !execution.is_open(),
    })
}
