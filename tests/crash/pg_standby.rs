//! A synchronous standby takes the primary's place, or is away: what was acknowledged is on both, whatever
//! happens between a commit and its answer.

use crate::forwarder::Forwarder;
use crate::journal::number;
use crate::load::Load;
use crate::scene::{Scene, eventually, within};
use crate::workflows::{sequence, worker};
use cluster::{Cluster, Options};
use std::time::Duration;

/// The ways of children and of the test to a primary with a synchronous standby.
struct Pair {
    /// Goes first: a primary without its standby waits.
    cluster: Cluster,
    replica: cluster::Replica,
    children: Forwarder,
    strangers: Forwarder,
    scene: Scene,
}

fn pair() -> Pair {
    let cluster = Cluster::start(Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let replica = cluster.add_replica().expect("a standby");
    let (children, strangers) = (Forwarder::to(cluster.port()), Forwarder::to(cluster.port()));
    let url = cluster.create_database().expect("a database");
    let name = url.rsplit('/').next().expect("it ends in its name");
    let scene = Scene::on(children.url(name), strangers.url(name));
    Pair { cluster, replica, children, strangers, scene }
}

impl Pair {
    /// Whether the standby follows.
    async fn follow(&self, follows: bool) {
        let primary = format!("host=127.0.0.1 port={} user=postgres", self.cluster.port());
        let primary = format!("{primary} application_name=replica_1");
        let from = if follows { primary.as_str() } else { "" };
        let set = format!("ALTER SYSTEM SET primary_conninfo = '{from}'");
        for statement in [set.as_str(), "SELECT pg_reload_conf()"] {
            self.replica.sql("postgres", statement).expect("the standby obeys");
        }
        let followers = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let wanted = i64::from(follows);
        eventually("it does", async || number(self.scene.database(), followers).await == wanted).await;
    }

    fn fail_over(&self) {
        self.replica.promote().expect("it is promoted");
        self.children.lead_to(self.replica.port());
        self.strangers.lead_to(self.replica.port());
    }
}

#[tokio::test]
async fn a_standby_that_takes_over_has_all_that_was_acknowledged() {
    let pair = pair();
    let mut load = Load::begin(&pair.scene, 3).await;
    load.look().await;
    pair.cluster.kill().expect("it is killed");
    pair.fail_over();
    load.goes_on().await;
    load.finish().await;
}

/// The primary's machine is cut off: nothing on the old connections is ever answered, or refused.
#[tokio::test]
async fn a_primary_that_falls_silent_is_given_up() {
    let pair = pair();
    let mut load = Load::begin(&pair.scene, 3).await;
    pair.children.lose();
    pair.fail_over();
    load.goes_on().await;
    load.finish().await;
}

/// Longer than a lease: no commit ends meanwhile, also no renewal's.
#[tokio::test]
async fn a_standby_that_is_away_is_waited_for() {
    let pair = pair();
    let mut load = Load::begin(&pair.scene, 2).await;
    pair.follow(false).await;
    tokio::time::sleep(Duration::from_secs(14)).await;
    pair.follow(true).await;
    load.goes_on().await;
    load.finish().await;
}

/// A session that is ended while its commit waits for the standby has committed, for all to see, on the primary alone.
/// What is read back there is not yet acknowledged.
#[tokio::test]
async fn what_only_the_primary_has_is_not_acknowledged() {
    let pair = pair();
    let scene = &pair.scene;
    let abide = scene.open().await;
    let service = worker(&abide, &scene.ledger()).start().await.expect("it starts");
    let client = abide.client();
    client.start(sequence(1, 1, 1)).await.expect("it starts").result().await.expect("it completes");
    pair.follow(false).await;
    // One that the worker's own writer takes, and one of a process without a worker.
    let starts = [("ours", client), ("theirs", scene.client().await)].map(|(id, client)| {
        tokio::spawn(async move { client.start(sequence(2, 1, 1)).id(id).request_id(id).await })
    });
    let waiting = "FROM pg_stat_activity WHERE application_name IN ('abide writer', 'abide calls') AND \
                   wait_event = 'SyncRep'";
    let both = format!("SELECT count(DISTINCT application_name) {waiting}");
    eventually("their commits wait", async || number(scene.database(), &both).await == 2).await;
    number(scene.database(), &format!("SELECT count(pg_terminate_backend(pid)) {waiting}")).await;
    let there = "SELECT count(*) FROM execution WHERE workflow_id IN ('ours', 'theirs')";
    eventually("the primary shows them", async || number(scene.database(), there).await == 2).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for start in &starts {
        assert!(!start.is_finished(), "it was acknowledged, and the standby does not have it");
    }
    pair.follow(true).await;
    for start in starts {
        let run = within("it is acknowledged", start).await.expect("no panic").expect("it starts");
        assert_eq!(within("it ends", run.result()).await.expect("it completes"), 40);
    }
    service.shutdown().await.expect("it shuts down");
}
