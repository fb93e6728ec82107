//! A worker stopped in the middle of a commit holds SQLite's lock: nothing can be done but wait, and nothing
//! may come of it.

use crate::evidence::Evidence;
use crate::journal::{connect, number};
use crate::scene::{Scene, Victim, within};
use crate::workflows::sequence;
use std::time::Duration;

/// Stops a worker in the middle of a commit. It holds SQLite's lock then, and everybody waits for it.
async fn freeze_in_a_commit(scene: &Scene, worker: &Victim) {
    let mut connection = connect(scene.database()).await;
    // Long enough for another worker's commit to end: who still holds the lock then is the one that was stopped.
    connection.run("PRAGMA busy_timeout = 500").await;
    for wait in 0..20_000 {
        worker.freeze();
        if connection.rows("BEGIN IMMEDIATE").await.is_err() {
            return;
        }
        connection.run("ROLLBACK").await;
        worker.thaw();
        tokio::time::sleep(Duration::from_micros(500 + wait % 7 * 300)).await;
    }
    panic!("it never commits");
}

#[tokio::test]
async fn a_worker_stopped_in_a_commit_past_its_lease_holds_all_up_and_then_all_go_on() {
    let scene = Scene::new();
    let (first, second, client) = (scene.worker(), scene.worker(), scene.client().await);
    let mut runs = Vec::new();
    for n in 0..24 {
        runs.push((
            n,
            client.start(sequence(n, 200, 5)).id(format!("sequence-{n}")).await.expect("it starts"),
        ));
    }
    freeze_in_a_commit(&scene, &first).await;
    let rows = "SELECT count(*) FROM journal";
    let before = number(scene.database(), rows).await;
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(number(scene.database(), rows).await, before, "everybody waits");
    let open = "SELECT count(*) FROM execution WHERE status = 0";
    assert!(number(scene.database(), open).await > 12, "and nothing comes of it");
    first.thaw();
    let since = std::time::Instant::now();
    for (n, run) in &runs {
        let sum = (0..200).map(|k| 2 * (10 * n + k)).sum::<u64>();
        let result = within("it goes on", run.result()).await;
        assert_eq!(result.expect("it completes"), sum);
    }
    eprintln!("{:?} after it went on", since.elapsed());
    Evidence::default().check(&scene).await;
    second.stop();
    let last = client.start(sequence(900, 2, 1)).id("sequence-900").await.expect("it starts");
    assert_eq!(last.result().await.expect("it completes"), 2 * 18_001);
    first.stop();
}
