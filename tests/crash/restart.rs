//! The only process of a service is killed and started again, on the same machine: its work goes on at once, not when a
//! lease has run out.

use crate::evidence::{Evidence, ran};
use crate::journal::{connect, number};
use crate::ledger::lines;
use crate::scene::{Scene, eventually, within};
use crate::workers::{all_complete, incarnation, ten_sequences};
use crate::workflows::Letters;
use abide::{TimeoutKind, WorkflowError};
use std::time::{Duration, Instant};

/// No check of a time is closer than this: the machine may be slow.
const GENEROUS_S: u64 = 60;

#[tokio::test]
async fn a_service_that_is_killed_and_started_again_goes_on_at_once() {
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let (first, client) = (scene.worker(), scene.client().await);
    let old = incarnation(&scene, &first).await;
    let runs = ten_sequences(&scene, &client).await;
    // Its lease would last for ever, shortened or not: only its machine can tell that it is gone.
    let later = "UPDATE lease SET lease_until = lease_until + 1000000000";
    let renewed = if crate::ON_POSTGRES { ", renewed_at = renewed_at + 1000000000" } else { "" };
    first.kill();
    connect(scene.database()).await.run(&format!("{later}{renewed}")).await;
    let killed = Instant::now();
    let second = scene.worker();
    let is_left = format!("SELECT count(*) FROM worker WHERE id = {old}");
    eventually("it is taken over", async || number(scene.database(), &is_left).await == 0).await;
    let taken_over = killed.elapsed();
    evidence.check(&scene).await;
    all_complete(&runs).await;
    let completed = killed.elapsed();
    eprintln!("started again, it took over after {taken_over:?}, and all was complete after {completed:?}");
    assert!(taken_over.as_secs() < GENEROUS_S, "{taken_over:?}");
    evidence.check(&scene).await;
    let ran = ran(&lines(&scene.ledger()));
    assert!(ran.values().all(|ran| ran.attempts.len() <= 2), "each lost one attempt at most");
    assert!(ran.values().any(|ran| ran.attempts == ["1", "2"]), "it was killed while activities ran");
    second.stop();
}

/// It is killed while some of its runs are out of time, and others nearly: the next one ends each of them once.
#[tokio::test]
async fn time_limits_outlive_the_process_that_keeps_them() {
    let scene = Scene::new();
    let (first, client) = (scene.worker(), scene.client().await);
    let mut runs = Vec::new();
    for n in 0..20 {
        let limit = Duration::from_millis(1_000 + 50 * n);
        let start = client.start(Letters::run(3)).id(format!("late-{n}")).run_timeout(limit);
        runs.push(start.await.expect("it starts"));
    }
    tokio::time::sleep(Duration::from_millis(1_400)).await;
    first.kill();
    let second = scene.worker();
    for run in &runs {
        let ended = within("its time is up", run.result()).await;
        assert!(matches!(ended, Err(WorkflowError::TimedOut { kind: TimeoutKind::Run })), "{ended:?}");
    }
    let ends = "SELECT count(*) FROM journal WHERE body LIKE '%timed_out%'";
    assert_eq!(number(scene.database(), ends).await, 20);
    second.stop();
}
