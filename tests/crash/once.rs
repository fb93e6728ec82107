//! `max_attempts = 1` never runs twice: not after `kill -9`, not across a graceful shutdown.

use crate::evidence::{Ran, ran};
use crate::journal::{Execution, number, read};
use crate::ledger::lines;
use crate::scene::{Scene, Victim, dice, eventually, within};
use crate::workflows::{Fragile, single, twice, worker};
use abide::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any test waits.
const ENDLESS_MS: u64 = 3_600_000;

/// What began, by the activity's argument.
fn begun(scene: &Scene) -> BTreeMap<u64, Ran> {
    ran(&lines(&scene.ledger())).into_values().map(|ran| (ran.n, ran)).collect()
}

async fn scheduled(scene: &Scene) -> usize {
    let executions = read(scene.database()).await;
    let scheduled = |e: &Execution| e.events().any(|(_, kind, _)| kind == "activity_scheduled");
    executions.values().filter(|execution| scheduled(execution)).count()
}

async fn failure_kind(scene: &Scene, workflow_id: &str) -> serde_json::Value {
    let executions = read(scene.database()).await;
    let execution = executions.values().find(|e| e.workflow_id == workflow_id).expect("it is there");
    let failed =
        execution.events().find(|(_, kind, _)| *kind == "activity_failed").expect("its activity failed");
    failed.2["failure"]["kind"].clone()
}

#[tokio::test]
async fn killed_while_it_runs_it_fails_and_is_not_run_again() {
    let (scene, mut runs) = (Scene::new(), Vec::new());
    let (client, first) = (scene.client().await, scene.worker());
    for n in 0..6 {
        runs.push(client.start(single(n, ENDLESS_MS)).id(format!("single-{n}")).await.expect("it starts"));
    }
    eventually("all run", async || begun(&scene).len() == 6).await;
    first.kill();
    let second = scene.worker();
    for run in &runs {
        assert_eq!(within("it ends", run.result()).await.expect("it goes on"), "worker lost");
    }
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1"] && ran.finished == 0));
    assert_eq!(failure_kind(&scene, "single-0").await, "worker_lost");
    second.stop();
}

#[tokio::test]
async fn killed_at_any_moment_it_runs_at_most_once() {
    let (scene, mut runs, mut dice) = (Scene::new(), Vec::new(), dice());
    let client = scene.client().await;
    for round in 0..6 {
        let worker = scene.worker();
        for n in 10 * round..10 * round + 10 {
            runs.push((n, client.start(single(n, n % 7)).await.expect("it starts")));
        }
        tokio::time::sleep(dice.wait(Duration::from_millis(100))).await;
        worker.kill();
    }
    let worker = scene.worker();
    for (n, run) in &runs {
        let (result, ran) =
            (within("it ends", run.result()).await.expect("it ends"), begun(&scene).remove(&(10 * n)));
        let ran = ran.unwrap_or_default();
        assert!(ran.attempts.len() <= 1, "{n} ran {:?}", ran.attempts);
        match result.as_str() {
            "worker lost" => {}
            ok => assert_eq!((ok, ran.finished), (format!("ok {}", 20 * n).as_str(), 1)),
        }
    }
    worker.stop();
}

/// Its back-off ends while no worker runs: the second attempt was never started, and is not lost.
#[tokio::test]
async fn a_retry_that_nobody_was_there_to_start_loses_no_attempt() {
    let (scene, mut runs) = (Scene::new(), Vec::new());
    let (client, first) = (scene.client().await, scene.worker());
    for n in 0..3 {
        runs.push((n, client.start(twice(n)).await.expect("it starts")));
    }
    let failed = "SELECT count(*) FROM attempt";
    let database = scene.database();
    eventually("all have failed once", async || number(database, failed).await == 3).await;
    assert!(first.kill());
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1"]), "the second attempts were to come");
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    let second = scene.worker();
    for (n, run) in &runs {
        assert_eq!(within("it ends", run.result()).await.expect("it ends"), format!("ok {}", 20 * n));
    }
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1", "2"]));
    second.stop();
}

/// The other side: the second and last attempt may have begun, and is not begun again.
#[tokio::test]
async fn a_last_attempt_that_had_begun_is_not_begun_again() {
    // On Postgres each costs the next worker a lease's wait.
    for round in 0..if crate::ON_POSTGRES { 2 } else { 6 } {
        let scene = Scene::new();
        let (client, first) = (scene.client().await, scene.worker());
        let run = client.start(twice(1)).await.expect("it starts");
        eventually("it failed once", async || begun(&scene).len() == 1).await;
        tokio::time::sleep(Duration::from_millis(970 + 10 * round)).await;
        first.kill();
        let second = scene.worker();
        within("it ends", run.result()).await.expect("it ends");
        let ran = begun(&scene).remove(&10).expect("it ran");
        assert!(["1", "2"].starts_with(&ran.attempts.iter().map(String::as_str).collect::<Vec<_>>()));
        second.stop();
    }
}

#[tokio::test]
async fn one_that_outlasts_the_grace_fails_and_one_that_is_queued_runs_later() {
    let scene = Scene::new();
    let client = scene.client().await;
    let variables = [("VICTIM_GRACE_MS", "100"), ("VICTIM_SLOTS", "1")];
    let first = scene.ready("work", &variables);
    let long = client.start(single(0, ENDLESS_MS)).id("single-0").await.expect("it starts");
    eventually("it runs", async || begun(&scene).len() == 1).await;
    let mut queued = Vec::new();
    for n in 1..5 {
        queued.push((n, client.start(single(n, 5)).await.expect("it starts")));
    }
    eventually("all are scheduled", async || scheduled(&scene).await == 5).await;
    first.stop();
    let second = scene.worker();
    assert_eq!(long.result().await.expect("it goes on"), "worker lost");
    assert_eq!(failure_kind(&scene, "single-0").await, "worker_shutdown");
    for (n, run) in &queued {
        assert_eq!(run.result().await.expect("it completes"), format!("ok {}", 20 * n));
    }
    let begun = begun(&scene);
    assert_eq!(begun.len(), 5);
    assert!(begun.values().all(|ran| ran.attempts == ["1"]), "each began once");
    second.stop();
}

/// Let go while it was queued, taken by a worker that is dropped while it runs: that one's attempt counts.
#[tokio::test]
async fn queued_in_one_worker_and_dropped_in_the_next_it_is_not_run_again() {
    let scene = Scene::new();
    let client = scene.client().await;
    let first = scene.ready("work", &[("VICTIM_GRACE_MS", "100"), ("VICTIM_SLOTS", "1")]);
    let mut runs = Vec::new();
    for n in 0..3 {
        runs.push(client.start(single(n, ENDLESS_MS)).await.expect("it starts"));
    }
    eventually("all are scheduled", async || scheduled(&scene).await == 3).await;
    eventually("one runs", async || begun(&scene).len() == 1).await;
    first.stop();
    let abide = scene.open().await;
    let second = worker(&abide, &scene.ledger()).start().await.expect("it starts");
    eventually("the others run", async || begun(&scene).len() == 3).await;
    drop(second);
    let third = scene.worker();
    for run in &runs {
        assert_eq!(within("it ends", run.result()).await.expect("it goes on"), "worker lost");
    }
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1"]));
    third.stop();
}

/// Suspended while its activity runs: the activity runs on, and what becomes of it is not forgotten.
async fn suspended_while_it_runs(ms: u64, leave: impl FnOnce(Victim) -> Option<Victim>) -> String {
    let scene = Scene::new();
    let (client, first) = (scene.client().await, scene.worker());
    let run = client.start(Fragile::run(1, ms)).await.expect("it starts");
    eventually("it runs", async || begun(&scene).len() == 1).await;
    let bug = scene.path("bug");
    std::fs::write(&bug, "").expect("it can be written");
    run.touch(bug.display().to_string()).await.expect("it takes the signal");
    let suspended = async || run.describe().await.expect("it is there").status == ExecutionStatus::Suspended;
    eventually("it is suspended", suspended).await;
    if ms != ENDLESS_MS {
        let kept = "SELECT count(*) FROM inbox";
        eventually("its outcome is kept", async || number(scene.database(), kept).await == 1).await;
    }
    let left = leave(first);
    std::fs::remove_file(bug).expect("the bug is mended");
    let second = left.unwrap_or_else(|| scene.worker());
    run.resume().await.expect("it was suspended");
    let result = within("it ends", run.result()).await.expect("it goes on");
    assert!(begun(&scene).values().all(|ran| ran.attempts == ["1"]), "it ran once");
    second.stop();
    result
}

#[tokio::test]
async fn killed_while_it_runs_for_a_suspended_execution_it_is_not_run_again() {
    let killed = |first: Victim| {
        first.kill();
        None
    };
    assert_eq!(suspended_while_it_runs(ENDLESS_MS, killed).await, "worker lost");
}

#[tokio::test]
async fn shut_down_while_it_runs_for_a_suspended_execution_it_is_not_run_again() {
    let stopped = |first: Victim| {
        first.stop();
        None
    };
    assert_eq!(suspended_while_it_runs(ENDLESS_MS, stopped).await, "worker lost");
}

#[tokio::test]
async fn an_outcome_that_was_kept_for_a_suspended_execution_is_not_lost_with_its_worker() {
    let killed = |first: Victim| {
        first.kill();
        None
    };
    assert_eq!(suspended_while_it_runs(1_000, killed).await, "ok 20");
}

#[tokio::test]
async fn running_for_a_suspended_execution_it_is_taken_in_after_the_resume() {
    assert_eq!(suspended_while_it_runs(2_000, Some).await, "ok 20");
}
