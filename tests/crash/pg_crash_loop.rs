//! An activity that ends its process each time, among several workers (PROTOCOL 19): its execution goes from one to the
//! next, and is suspended after the fifth; the others complete.

use crate::evidence::ran;
use crate::journal::{number, read};
use crate::ledger::lines;
use crate::scene::{Scene, Victim};
use crate::workflows::{Letters, culprit, fan, sequence};
use abide::prelude::*;
use std::time::Duration;

/// What a worker has to die of.
const TAKE_OVERS: usize = 5;

#[tokio::test]
async fn what_kills_each_of_its_workers_is_suspended_and_nothing_else() {
    let scene = Scene::new();
    let client = scene.client().await;
    let mut workers: Vec<Victim> = (0..3).map(|_| scene.worker()).collect();
    let mut innocents = Vec::new();
    for n in 0..20 {
        let call = client.start(sequence(n, 6, 500)).id(format!("sequence-{n}"));
        innocents.push(call.await.expect("it starts"));
    }
    let wide = client.start(fan(7, 20, 300)).id("fan").await.expect("it starts");
    let waits = client.start(Letters::run(1)).id("letters").await.expect("it starts");
    let crasher = client.start(culprit(900, 60)).id("culprit").await.expect("it starts");

    let suspended = "SELECT count(*) FROM execution WHERE status = 1";
    let mut deaths = 0;
    while number(scene.database(), suspended).await == 0 {
        for worker in &mut workers {
            if worker.has_ended() {
                deaths += 1;
                assert!(deaths <= TAKE_OVERS, "the loop goes on");
                *worker = scene.worker();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let Err(WorkflowError::Suspended(reason)) = crasher.result().await else { panic!("it is suspended") };
    assert_eq!(reason.code(), "AB0205");
    for (n, run) in (0..).zip(&innocents) {
        let sum = (0..6).map(|k| 2 * (10 * n + k)).sum::<u64>();
        assert_eq!(run.result().await.expect("it completes"), sum);
    }
    assert_eq!(wide.result().await.expect("it completes").len(), 20);
    waits.letter(4).await.expect("it takes a letter");
    assert_eq!(waits.result().await.expect("it completes"), [8]);
    let ran = ran(&lines(&scene.ledger()));
    let runs: Vec<_> = ran.values().filter(|ran| ran.name == "Work.abort").collect();
    assert_eq!(runs[0].attempts, ["1", "2", "3", "4", "5"]);
    let suspended: Vec<_> = read(scene.database()).await.into_values().filter(|e| e.status == 1).collect();
    assert_eq!(suspended.len(), 1, "{suspended:?}");
    for worker in workers {
        worker.stop();
    }
}
