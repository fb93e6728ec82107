//! Two processes on one file: they share the load, a third is a client alone, and when one dies or is stopped the
//! other goes on with what it had.

use crate::evidence::{Evidence, ran};
use crate::journal::{connect, number, read};
use crate::ledger::lines;
use crate::scene::{Scene, Victim, eventually};
use crate::workflows::{Letters, fan, sequence};
use abide::prelude::*;
use std::collections::HashSet;
use std::time::Duration;

/// The incarnation that a process works as now; 0 for none.
pub(crate) async fn incarnation(scene: &Scene, victim: &Victim) -> i64 {
    let query = format!("SELECT coalesce(max(id), 0) FROM worker WHERE name = 'process {}'", victim.pid());
    number(scene.database(), &query).await
}

/// Stops a worker, on SQLite not in the middle of a commit: it would hold the lock, and everybody would wait for it.
pub(crate) async fn freeze(scene: &Scene, worker: &Victim) {
    loop {
        worker.freeze();
        if crate::ON_POSTGRES {
            return;
        }
        let mut connection = connect(scene.database()).await;
        connection.run("PRAGMA busy_timeout = 1000").await;
        if connection.rows("BEGIN IMMEDIATE").await.is_ok() {
            return;
        }
        worker.thaw();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many activities run for executions that this incarnation owns.
async fn running(scene: &Scene, owner: i64) -> usize {
    let mine: HashSet<String> = read(scene.database())
        .await
        .into_values()
        .filter(|execution| execution.owner == Some(owner))
        .map(|execution| execution.run_id)
        .collect();
    let ran = ran(&lines(&scene.ledger()));
    let open = ran.iter().filter(|(_, ran)| ran.finished < ran.attempts.len());
    open.filter(|(key, _)| key.split('/').next().is_some_and(|run| mine.contains(run))).count()
}

/// How many journal rows an incarnation has written.
pub(crate) async fn written(scene: &Scene, writer: i64) -> usize {
    let executions = read(scene.database()).await;
    executions.values().flat_map(|execution| &execution.rows).filter(|row| row.writer == writer).count()
}

/// Starts sequences with steps of `ms` until each of these incarnations runs some.
async fn until_all_run(
    scene: &Scene,
    client: &Client,
    owners: &[i64],
    ms: u64,
) -> Vec<(u64, Handle<sequence>)> {
    let mut runs = Vec::new();
    eventually("each of them has something to do", async || {
        let n = runs.len() as u64;
        let call = client.start(sequence(n, 2, ms)).id(format!("sequence-{n}"));
        runs.push((n, call.await.expect("it starts")));
        let mut all = true;
        for owner in owners {
            all &= running(scene, *owner).await > 0;
        }
        all
    })
    .await;
    runs
}

/// Starts ten sequences of two steps of half a second, and waits until the first steps of all run.
pub(crate) async fn ten_sequences(scene: &Scene, client: &Client) -> Vec<(u64, Handle<sequence>)> {
    let mut runs = Vec::new();
    for n in 0..10 {
        let run = client.start(sequence(n, 2, 500)).id(format!("sequence-{n}")).await.expect("it starts");
        runs.push((n, run));
    }
    eventually("all run", async || ran(&lines(&scene.ledger())).len() == 10).await;
    runs
}

pub(crate) async fn all_complete(runs: &[(u64, Handle<sequence>)]) {
    for (n, run) in runs {
        assert_eq!(run.result().await.expect("it completes"), 2 * (20 * n + 1));
    }
}

#[tokio::test]
async fn two_workers_share_the_load_and_a_client_talks_to_both() {
    let scene = Scene::new();
    let (first, second, client) = (scene.worker(), scene.worker(), scene.client().await);
    let owners = [incarnation(&scene, &first).await, incarnation(&scene, &second).await];
    let runs = until_all_run(&scene, &client, &owners, 300).await;
    let mut letters = Vec::new();
    for n in 0..8 {
        letters.push((n, client.start(Letters::run(3)).id(format!("letters-{n}")).await.expect("it starts")));
    }
    for (n, run) in &letters {
        run.letter(*n).await.expect("it takes a letter");
        eventually("a query sees it", async || run.read().await.expect("it answers") == 1).await;
        let described = run.describe().await.expect("it can be described");
        assert_eq!(described.status, ExecutionStatus::Running);
        assert!(described.awaiting[0].text.contains("until!"), "{:?}", described.awaiting);
    }
    for (n, run) in &letters {
        match n % 3 {
            0 => {
                run.cancel("enough").await.expect("it takes a cancel");
                assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
            }
            1 => {
                run.terminate("enough").await.expect("it takes it");
                assert!(matches!(run.result().await, Err(WorkflowError::Terminated)));
            }
            _ => {
                run.letter(n + 1).await.expect("it takes a letter");
                run.letter(n + 2).await.expect("it takes a letter");
                let read = run.result().await.expect("it completes");
                assert_eq!(read, [2 * n, 2 * n + 2, 2 * n + 4]);
            }
        }
        assert_eq!(run.read().await.expect("a closed one answers"), if n % 3 == 2 { 3 } else { 1 });
    }
    let wide = client.start(fan(0, 50, 20)).await.expect("it starts");
    assert_eq!(wide.result().await.expect("it completes").len(), 50);
    all_complete(&runs).await;
    Evidence::default().check(&scene).await;
    for (key, ran) in ran(&lines(&scene.ledger())) {
        assert_eq!(ran.attempts, ["1"], "{key} ran once");
    }
    first.stop();
    second.stop();
}

#[tokio::test]
async fn what_a_killed_worker_had_is_taken_over_without_waiting_for_its_lease() {
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let (first, second, client) = (scene.worker(), scene.worker(), scene.client().await);
    let owners = [incarnation(&scene, &first).await, incarnation(&scene, &second).await];
    let runs = until_all_run(&scene, &client, &owners, 300).await;
    first.kill();
    // Its lease would now last for ever: only its lock can tell that it is gone.
    let longer = "UPDATE lease SET lease_until = lease_until + 1000000000";
    connect(scene.database()).await.run(&format!("{longer} WHERE worker = {}", owners[0])).await;
    evidence.check(&scene).await;
    all_complete(&runs).await;
    evidence.check(&scene).await;
    let ran = ran(&lines(&scene.ledger()));
    assert!(ran.values().any(|ran| ran.attempts == ["1", "2"]), "it was killed while an activity ran");
    second.stop();
}

/// Here no worker claims what was taken from it, so that only the fence keeps it from going on.
#[tokio::test]
async fn a_worker_stopped_past_its_lease_is_fenced_out_also_where_nobody_has_gone_on() {
    let scene = Scene::new();
    let (first, client) = (scene.worker(), scene.client().await);
    let old = incarnation(&scene, &first).await;
    let runs = until_all_run(&scene, &client, &[old], 1_500).await;
    let elsewhere = scene.open().await;
    let bystander = elsewhere.worker("elsewhere").workflow(fan).start().await.expect("it starts");
    freeze(&scene, &first).await;
    let left = "SELECT count(*) FROM worker";
    eventually("its lease runs out", async || number(scene.database(), left).await == 1).await;
    let before = written(&scene, old).await;
    first.thaw();
    all_complete(&runs).await;
    assert_eq!(written(&scene, old).await, before, "it wrote nothing under its old name");
    assert!(written(&scene, incarnation(&scene, &first).await).await > 0, "it went on under a new one");
    bystander.shutdown().await.expect("it shuts down");
    first.stop();
    Evidence::default().check(&scene).await;
}

#[tokio::test]
async fn a_worker_stopped_past_its_lease_commits_nothing_and_begins_anew() {
    let scene = Scene::new();
    let (first, second, client) = (scene.worker(), scene.worker(), scene.client().await);
    let old = incarnation(&scene, &first).await;
    let owners = [old, incarnation(&scene, &second).await];
    let runs = until_all_run(&scene, &client, &owners, 1_500).await;
    freeze(&scene, &first).await;
    let left = "SELECT count(*) FROM worker";
    eventually("its lease runs out", async || number(scene.database(), left).await == 1).await;
    let before = written(&scene, old).await;
    first.thaw();
    eventually("it begins anew", async || incarnation(&scene, &first).await > owners[1]).await;
    let new = incarnation(&scene, &first).await;
    all_complete(&runs).await;
    assert_eq!(written(&scene, old).await, before, "what it was doing is not its own any more");
    second.stop();
    let last = client.start(sequence(900, 2, 1)).id("sequence-900").await.expect("it starts");
    assert_eq!(last.result().await.expect("it completes"), 2 * 18_001);
    assert!(written(&scene, new).await > 0, "the stopped one does the work");
    Evidence::default().check(&scene).await;
    first.stop();
}
