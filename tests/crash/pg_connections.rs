//! What lies between a worker and its server: connections that are cut, a way that is slow or blocked, a server that is
//! full, other sessions that cancel. Work goes on as soon as it can, and nothing is lost or done twice.

use crate::forwarder::Forwarder;
use crate::journal::{Connection, Database, connect, number, try_connect};
use crate::load::Load;
use crate::pg_server::own;
use crate::scene::{Scene, dice, eventually};
use crate::workflows::{Letters, sequence};
use abide::prelude::*;
use cluster::Options;
use std::time::{Duration, Instant};

/// Does `what` to a random one of the engine's sessions, again and again.
async fn at_random(scene: &Scene, what: &str, times: u64) {
    let (mut dice, mut stranger, mut done) = (dice(), connect(scene.database()).await, 0);
    while done < times {
        tokio::time::sleep(dice.wait(Duration::from_millis(150))).await;
        // Those that are at something are the more interesting ones.
        let busy = if dice.below(2) == 0 { "state <> 'idle'" } else { "true" };
        let query = format!(
            "SELECT count({what}(pid)) FROM (SELECT pid FROM pg_stat_activity
                WHERE application_name LIKE 'abide %' AND datname = current_database() AND {busy}
                ORDER BY random() LIMIT 1) one"
        );
        let rows = stranger.rows(&query).await.expect("it is done");
        done += rows[0][0].as_deref().expect("a count").parse::<u64>().expect("a count");
    }
}

#[tokio::test]
async fn connections_that_are_cut_lose_and_repeat_nothing() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    for _ in 0..3 {
        at_random(&scene, "pg_terminate_backend", 15).await;
        load.look().await;
    }
    load.goes_on().await;
    load.finish().await;
}

/// As a time limit does it, also that of a role or of a nervous administrator.
#[tokio::test]
async fn statements_that_are_cancelled_are_made_again() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    at_random(&scene, "pg_cancel_backend", 60).await;
    load.goes_on().await;
    load.finish().await;
}

/// A database, and a way to it that only the children take.
fn by_a_way() -> (Forwarder, Scene) {
    let direct = cluster::shared_database();
    let way = Forwarder::to(cluster::shared().port());
    let scene = Scene::on(way.url(direct.rsplit('/').next().expect("it ends in its name")), direct);
    (way, scene)
}

#[tokio::test]
async fn a_long_way_only_takes_longer() {
    let (way, scene) = by_a_way();
    let mut load = Load::begin(&scene, 2).await;
    way.delay(80);
    load.goes_on().await;
    way.delay(0);
    load.finish().await;
}

/// Shorter than a lease, and longer: then everything that was under way arrives after all, and too late.
#[tokio::test]
async fn a_way_that_is_blocked_for_a_while_delivers_late_and_nothing_twice() {
    let (way, scene) = by_a_way();
    let mut load = Load::begin(&scene, 2).await;
    for seconds in [3, 16] {
        way.block(true);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        way.block(false);
        load.goes_on().await;
        load.look().await;
    }
    load.finish().await;
}

/// Each commit takes at least 100 ms to reach the disk.
#[tokio::test]
async fn a_slow_disk_only_takes_longer() {
    let slow = [("commit_delay", "100000"), ("commit_siblings", "0")];
    let settings = slow.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let (_cluster, scene) = own(Options { durable: true, settings, ..Options::default() });
    let mut load = Load::begin(&scene, 2).await;
    load.goes_on().await;
    load.finish().await;
}

/// Takes every connection that is left, and those of the engine too.
async fn fill(cluster: &cluster::Cluster) -> Vec<Connection> {
    let database = Database::Postgres(cluster.url("postgres"));
    let mut strangers = vec![connect(&database).await];
    let others =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'abide %'";
    loop {
        while let Ok(stranger) = try_connect(&database, false).await {
            strangers.push(stranger);
        }
        if strangers[0].rows(others).await.expect("it is done")[0][0].as_deref() == Some("0") {
            return strangers;
        }
    }
}

#[tokio::test]
async fn a_server_without_room_is_an_error_with_a_code_and_is_waited_for() {
    let (cluster, scene) = own(Options { max_connections: 20, ..Options::default() });
    let client = scene.client().await;
    let mut worker = scene.worker();
    let done = client.start(sequence(1, 40, 100)).id("sequence-1").await.expect("it starts");
    let letters = client.start(Letters::run(1)).id("letters").await.expect("it starts");
    let strangers = fill(&cluster).await;
    let since = Instant::now();
    let refused = Abide::open(scene.url()).await.expect_err("there is no room");
    assert_eq!(refused.code(), "AB0501", "{refused}");
    assert!(refused.to_string().contains("too many clients"), "{refused}");
    // While connections are being cut, the outcome may be unknown; then it is clear.
    eventually("it is told that there is no room", async || {
        let refused = letters.letter(1).request_id("letter").await.expect_err("there is no room");
        assert!(matches!(refused.code(), "AB0410" | "AB0517"), "{refused}");
        refused.code() == "AB0517"
    })
    .await;
    eprintln!("told after {:?}", since.elapsed());
    drop(strangers);
    eventually("there is room", async || letters.letter(1).request_id("letter").await.is_ok()).await;
    let sum = (10..50).map(|k| 2 * k).sum::<u64>();
    assert_eq!(done.result().await.expect("it completes"), sum);
    assert_eq!(letters.result().await.expect("it completes"), [2]);
    assert!(!worker.has_ended(), "it has waited");
    worker.stop();
    assert_eq!(number(scene.database(), "SELECT count(*) FROM execution WHERE status = 10").await, 2);
}
