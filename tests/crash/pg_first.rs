//! Many that start at once on an empty database: one of them makes the tables, and all work.

use crate::evidence::Evidence;
use crate::journal::number;
use crate::scene::{Scene, Victim, dice, eventually};
use crate::workers::all_complete;
use crate::workflows::sequence;
use std::time::Duration;

#[tokio::test]
async fn eight_workers_on_an_empty_database_make_one_schema_and_share_the_work() {
    let scene = Scene::new();
    let mut workers: Vec<Victim> = (0..8).map(|_| scene.spawn("work")).collect();
    for worker in &mut workers {
        worker.until_says("ready");
    }
    assert_eq!(number(scene.database(), "SELECT count(*) - max(version) FROM migration").await, 0);
    assert_eq!(number(scene.database(), "SELECT count(*) FROM worker").await, 8);
    let (client, mut runs) = (scene.client().await, Vec::new());
    let writers = "SELECT count(DISTINCT writer) FROM journal WHERE writer > 0";
    eventually("each of them does its part", async || {
        let n = runs.len() as u64;
        let call = client.start(sequence(n, 2, 100)).id(format!("sequence-{n}"));
        runs.push((n, call.await.expect("it starts")));
        number(scene.database(), writers).await == 8
    })
    .await;
    all_complete(&runs).await;
    Evidence::default().check(&scene).await;
    for worker in workers {
        worker.stop();
    }
}

#[tokio::test]
async fn a_first_open_that_is_killed_is_finished_by_the_next() {
    let mut dice = dice();
    for round in 0..6 {
        let scene = Scene::new();
        let all: Vec<_> = (0..4).map(|_| scene.spawn("open")).collect();
        let mut left = Vec::new();
        for (n, mut victim) in all.into_iter().enumerate() {
            if n % 2 == round % 2 {
                victim.until_says("begun");
                tokio::time::sleep(dice.wait(Duration::from_millis(60))).await;
                victim.kill();
            } else {
                left.push(victim);
            }
        }
        for mut victim in left {
            victim.until_says("ready");
            assert!(victim.wait().success(), "round {round}");
        }
        let worker = scene.worker();
        let run = scene.client().await.start(sequence(1, 1, 1)).await.expect("it takes work");
        assert_eq!(run.result().await.expect("it completes"), 20);
        let none = "SELECT count(*) FROM execution WHERE status < 10";
        eventually("nothing is left", async || number(scene.database(), none).await == 0).await;
        worker.stop();
    }
}
