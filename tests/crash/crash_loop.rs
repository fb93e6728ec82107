//! An activity that ends its process each time (PROTOCOL 19): its execution is suspended, and no other.

use crate::evidence::ran;
use crate::journal::{Execution, connect, number, read};
use crate::ledger::lines;
use crate::scene::{Scene, eventually};
use crate::workflows::{Letters, culprit, fan, sequence, ticks, twice, two_faced};
use abide::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn only_the_execution_that_kills_its_process_is_suspended() {
    let scene = Scene::new();
    let client = scene.client().await;
    let mut innocents = Vec::new();
    for n in 0..40 {
        innocents
            .push(client.start(sequence(n, 3, 150)).id(format!("sequence-{n}")).await.expect("it starts"));
    }
    let wide = client.start(fan(7, 20, 300)).id("fan").await.expect("it starts");
    let waits = client.start(Letters::run(1)).id("letters").await.expect("it starts");
    let crasher = client.start(culprit(9, 60)).id("culprit").await.expect("it starts");

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
    let Err(WorkflowError::Suspended(reason)) = crasher.result().await else { panic!("it is suspended") };
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
    let run = client.start(ticks(100, 30)).id("ticks").await.expect("it starts");
    let fired = async || {
        let executions = read(scene.database()).await;
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
    assert_eq!(run.result().await.expect("it completes"), 100);
    worker.stop();
}

/// Workers that live for a moment each, while everything has an activity that takes longer than that.
#[tokio::test]
async fn a_dozen_quick_kills_from_outside_suspend_nobody() {
    let scene = Scene::new();
    let client = scene.client().await;
    let mut runs = Vec::new();
    for n in 0..2 {
        runs.push((
            n,
            client.start(sequence(n, 2, 250)).id(format!("sequence-{n}")).await.expect("it starts"),
        ));
    }
    for _ in 0..12 {
        let worker = scene.worker();
        tokio::time::sleep(Duration::from_millis(150)).await;
        worker.kill();
    }
    let worker = scene.worker();
    for (n, run) in &runs {
        assert_eq!(run.result().await.expect("it completes"), 2 * (20 * n + 1));
    }
    worker.stop();
}

/// Progress in another branch does not clear it for ever.
#[tokio::test]
async fn a_culprit_that_makes_progress_elsewhere_is_found_out() {
    let scene = Scene::new();
    let client = scene.client().await;
    let crasher = client.start(two_faced(9, 300)).id("two-faced").await.expect("it starts");
    let (mut deaths, mut worker) = (0, scene.worker());
    let reason = loop {
        if worker.has_ended() {
            deaths += 1;
            assert!(deaths <= 8, "the loop goes on");
            worker = scene.spawn("work");
        }
        let result = tokio::time::timeout(Duration::from_millis(50), crasher.result()).await;
        match result {
            Ok(Err(WorkflowError::Suspended(reason))) => break reason,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    };
    assert_eq!(reason.code(), "AB0205");
    let progress = ran(&lines(&scene.ledger())).values().filter(|ran| ran.name == "Work.step").count();
    assert!(progress > 5, "it made progress all the time: {progress}");
    worker.stop();
}

/// A suspect that takes long holds the others up for a while, not until it ends.
#[tokio::test]
async fn a_long_suspect_does_not_block_the_others() {
    let scene = Scene::new();
    let client = scene.client().await;
    let long = client.start(sequence(0, 1, 600_000)).id("long").await.expect("it starts");
    let short = client.start(sequence(1, 1, 10)).id("short").await.expect("it starts");
    let suspects = "UPDATE execution SET crashes = CASE workflow_id WHEN 'short' THEN 3 ELSE 2 END";
    connect(scene.database()).await.run(suspects).await;
    let worker = scene.worker();
    let result = tokio::time::timeout(Duration::from_secs(60), short.result()).await;
    assert_eq!(result.expect("it is not blocked").expect("it completes"), 20);
    assert_eq!(long.describe().await.expect("it is there").status, ExecutionStatus::Running);
    worker.kill();
}

/// What waits for a message, a timer or a back-off has nothing to do with its worker's death, also where its time came
/// while no worker was running.
#[tokio::test]
async fn what_only_waits_is_never_counted() {
    let scene = Scene::new();
    let (client, database) = (scene.client().await, scene.database());
    let worker = scene.worker();
    let letters = client.start(Letters::run(1)).id("letters").await.expect("it starts");
    client.start(ticks(1, 2_000)).id("ticks").await.expect("it starts");
    client.start(twice(1)).id("twice").await.expect("it starts");
    let waits = "SELECT (SELECT count(DISTINCT execution) FROM journal JOIN execution e ON e.id = execution
        WHERE body LIKE '%timer_started%' OR type LIKE 'Letters%') + (SELECT count(*) FROM attempt)";
    eventually("all wait", async || number(database, waits).await == 3).await;
    worker.kill();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    letters.letter(1).await.expect("it takes a letter");
    // Takes over, and claims nothing.
    let elsewhere = scene.open().await;
    let bystander = elsewhere.worker("elsewhere").workflow(fan).start().await.expect("it starts");
    let owned = "SELECT count(*) FROM execution WHERE owner IS NOT NULL";
    eventually("they are taken over", async || number(database, owned).await == 0).await;
    assert_eq!(number(database, "SELECT sum(crashes) FROM execution").await, 0);
    bystander.shutdown().await.expect("it shuts down");
}

/// All but the culprit and the one that waits for a letter are closed, and the culprit is suspended. Nothing else
/// ever is.
async fn settled(scene: &Scene) -> bool {
    let executions: BTreeMap<i64, Execution> = read(scene.database()).await;
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
