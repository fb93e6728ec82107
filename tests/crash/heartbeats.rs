//! An activity over many items, killed again and again: the next attempt begins where the last heartbeat was that the
//! database had, in the worker that takes over and in a worker elsewhere.

use crate::items::items;
use crate::journal::number;
use crate::ledger::lines;
use crate::scene::{Scene, dice, eventually, within};
use std::time::Duration;

const ITEMS: u64 = 100;
/// One more in a row, and the run would count as one that kills its workers.
const KILLS: u64 = 4;

/// What the database knows of the last heartbeat.
const TOLD: &str = "SELECT coalesce(max(CAST(details AS bigint)), 0) FROM task";

/// What the ledger has of each attempt: how many items were done as it began, and the items that it has done.
fn attempts(scene: &Scene) -> Vec<(u64, Vec<u64>)> {
    let mut attempts: Vec<(u64, Vec<u64>)> = Vec::new();
    for line in lines(&scene.ledger()) {
        let words: Vec<&str> = line.split(' ').collect();
        let last = words[2].parse().expect("a number");
        match (words[0], attempts.last_mut()) {
            ("from", _) => attempts.push((last, Vec::new())),
            ("item", Some((_, items))) => items.push(last),
            _ => panic!("{line}"),
        }
    }
    attempts
}

/// `far`: whether the activity runs in a worker of its own, which is killed.
async fn killed_again_and_again(far: bool) {
    let (scene, mut dice) = (Scene::new(), dice());
    let client = scene.client().await;
    let flows = far.then(|| scene.ready("work", &[]));
    let role = if far { "farm" } else { "work" };
    let mut worker = scene.ready(role, &[]);
    let run = client.start(items(ITEMS, 30, far)).await.expect("it starts");
    let mut seen = 0;
    for _ in 0..KILLS {
        eventually("it goes on", async || number(scene.database(), TOLD).await as u64 > seen).await;
        tokio::time::sleep(dice.wait(Duration::from_millis(700))).await;
        seen = number(scene.database(), TOLD).await as u64;
        worker.kill();
        let before = attempts(&scene).len();
        // Of a dead worker elsewhere, the workflow's worker is told soon.
        let told = if far { None } else { Some(number(scene.database(), TOLD).await as u64) };
        worker = scene.ready(role, &[]);
        eventually("the next attempt begins", async || attempts(&scene).len() > before).await;
        let (from, done) = (attempts(&scene)[before].0, attempts(&scene)[before - 1].clone());
        assert!(from >= seen, "it begins at {from}, and {seen} was told");
        assert!(
            from <= done.0 + done.1.len() as u64,
            "nothing is left out: it begins at {from} after {done:?}"
        );
        assert_eq!(from, told.unwrap_or(from), "where the last heartbeat was");
    }
    assert_eq!(within("it ends", run.result()).await.expect("it completes"), ITEMS);
    let mut all = Vec::new();
    for (from, items) in attempts(&scene) {
        let whole: Vec<u64> = (from..).take(items.len()).collect();
        assert_eq!(items, whole, "an attempt does one item after the other");
        // What comes again is what was done behind the heartbeat.
        all.truncate(from as usize);
        all.extend(items);
    }
    assert_eq!(all, (0..ITEMS).collect::<Vec<_>>(), "each item is done");
    worker.stop();
    flows.into_iter().for_each(crate::scene::Victim::stop);
}

#[tokio::test]
async fn the_next_worker_goes_on_where_the_last_heartbeat_was() {
    killed_again_and_again(false).await;
}

#[tokio::test]
async fn a_worker_elsewhere_goes_on_where_the_last_heartbeat_was() {
    killed_again_and_again(true).await;
}
