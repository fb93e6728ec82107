//! Activities elsewhere, and `kill -9`: of the workflow's process, which costs them nothing, and of their
//! own, which costs an attempt and no more.

use crate::evidence::{Ran, ran};
use crate::journal::connect;
use crate::ledger::lines;
use crate::scene::{Scene, dice, eventually, within};
use crate::workflows::{Work, asks, far};
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

/// The tokens that attempts for `n` have written down, oldest first.
fn tokens(scene: &Scene, n: u64) -> Vec<String> {
    let prefix = format!("token {} ", 10 * n);
    lines(&scene.ledger()).iter().filter_map(|line| Some(line.strip_prefix(&prefix)?.to_owned())).collect()
}

#[tokio::test]
async fn what_its_body_has_left_to_a_token_is_not_lost_and_what_it_has_not_is_repeated_under_another() {
    let scene = Scene::new();
    let (client, worker) = (scene.client().await, scene.worker());
    let (left, holding) = ([1, 2, 3], [4, 5, 6]);
    let mut runs = Vec::new();
    for (n, ms) in left.map(|n| (n, 0)).into_iter().chain(holding.map(|n| (n, 120_000))) {
        runs.push((n, client.start(asks(n, ms)).await.expect("it starts")));
    }
    let mut connection = connect(scene.database()).await;
    eventually("all have tokens, and the bodies of three have ended", async || {
        let handed = connection.rows("SELECT count(*) FROM task WHERE handed").await.expect("it is asked");
        (1..=6).all(|n| tokens(&scene, n).len() == 1) && handed == [[Some("3".to_owned())]]
    })
    .await;
    worker.kill();
    for n in left {
        client
            .activity(Work::asked, tokens(&scene, n).remove(0))
            .complete(n)
            .await
            .expect("no worker is needed");
    }
    // Bodies that are not heard any more hold up no shutdown.
    let worker = scene.ready("work", &[("VICTIM_GRACE_MS", "100")]);
    eventually("the others run again", async || holding.iter().all(|n| tokens(&scene, *n).len() == 2)).await;
    for n in holding {
        let tokens = tokens(&scene, n);
        let void = client.activity(Work::asked, tokens[0].as_str()).complete(0).await;
        assert_eq!(void.expect_err("it is void").code(), "AB0429");
        client.activity(Work::asked, tokens[1].as_str()).complete(n).await.expect("it runs");
    }
    for (n, run) in &runs {
        assert_eq!(within("it ends", run.result()).await.expect("it ends"), format!("ok {n}"));
        assert_eq!(tokens(&scene, *n).len(), if left.contains(n) { 1 } else { 2 });
    }
    worker.stop();
}
