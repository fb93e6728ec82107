//! A rolling deployment: three processes are replaced one by one while requests go on. No request fails, and no step
//! runs twice.

use crate::evidence::{Evidence, ran};
use crate::ledger::lines;
use crate::scene::Scene;
use crate::workflows::sequence;
use abide::prelude::*;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

const PROCESSES: usize = 3;
/// The time between two requests, about.
const PACE: Duration = Duration::from_millis(15);

/// Starts requests until told to end; gives how many there were. Each must succeed.
async fn requests(client: Client, mut end: watch::Receiver<bool>) -> u64 {
    let (mut running, mut n) = (JoinSet::new(), 0);
    while tokio::time::timeout(PACE, end.wait_for(|end| *end)).await.is_err() {
        let (client, id) = (client.clone(), n);
        running.spawn(async move {
            let run = client.start(sequence(id, 3, 30)).id(format!("request-{id}")).await.expect("it starts");
            assert_eq!(run.result().await.expect("it succeeds"), 2 * (30 * id + 3));
        });
        n += 1;
    }
    while let Some(request) = running.join_next().await {
        request.expect("no request fails");
    }
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_three_processes_are_replaced() {
    let scene = Scene::new();
    let mut workers: Vec<_> = (0..PROCESSES).map(|_| scene.worker()).collect();
    let (end, ended) = watch::channel(false);
    let asked = tokio::spawn(requests(scene.client().await, ended));
    for worker in &mut workers {
        // The new one serves before the old one is asked to stop.
        let old = tokio::task::block_in_place(|| std::mem::replace(worker, scene.worker()));
        tokio::task::block_in_place(|| old.stop());
    }
    end.send(true).expect("requests go on");
    let asked = asked.await.expect("no request fails");
    assert!(asked >= 10, "only {asked} requests in all that time");
    let executions = Evidence::default().check(&scene).await;
    assert_eq!(executions.len() as u64, asked);
    for (key, ran) in ran(&lines(&scene.ledger())) {
        assert_eq!(ran.attempts, ["1"], "{key} ran once");
    }
    workers.into_iter().for_each(|worker| worker.stop());
}
