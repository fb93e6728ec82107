//! A machine is gone, and its session has ended: a worker that is started elsewhere goes on with its work
//! before the lease has run out.

use crate::evidence::Evidence;
use crate::journal::{connect, number};
use crate::scene::{Scene, eventually};
use crate::workers::{all_complete, incarnation, ten_sequences};
use std::time::Instant;

#[tokio::test]
async fn a_machine_that_is_gone_is_told_by_its_session() {
    let (scene, mut evidence) = (Scene::new(), Evidence::default());
    let (first, client) = (scene.worker(), scene.client().await);
    let old = incarnation(&scene, &first).await;
    let runs = ten_sequences(&scene, &client).await;
    let mut stranger = connect(scene.database()).await;
    first.kill();
    let killed = Instant::now();
    // It was on another machine, and only a free lock tells that its lease may end.
    let boot = "replace(process, 'linux/', 'linux/another-')";
    stranger.run(&format!("UPDATE worker SET process = {boot} WHERE process LIKE 'linux/%'")).await;
    stranger.run("UPDATE lease SET lease_until = lease_until + 1000000000").await;
    let second = scene.worker();
    let is_left = format!("SELECT count(*) FROM worker WHERE id = {old}");
    eventually("it is taken over", async || number(scene.database(), &is_left).await == 0).await;
    eprintln!("a machine that is gone was taken over after {:?}", killed.elapsed());
    all_complete(&runs).await;
    evidence.check(&scene).await;
    second.stop();
}
