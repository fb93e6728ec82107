//! The server itself goes: it restarts, it crashes, a standby takes its place. What was acknowledged is there, nothing
//! is done twice, and no worker needs to be started again.

use crate::forwarder::Forwarder;
use crate::load::Load;
use crate::scene::Scene;
use cluster::{Cluster, Mode, Options};

/// A database on a server of its own.
pub(crate) fn own(options: Options) -> (Cluster, Scene) {
    let cluster = Cluster::start(options).unwrap_or_else(|error| panic!("{error}"));
    let url = cluster.create_database().expect("a database");
    (cluster, Scene::on(url.clone(), url))
}

#[tokio::test]
async fn a_server_that_restarts_loses_and_repeats_nothing_and_no_worker_ends() {
    let (cluster, scene) = own(Options::default());
    let mut load = Load::begin(&scene, 2).await;
    for mode in [Mode::Fast, Mode::Immediate, Mode::Fast, Mode::Immediate] {
        cluster.restart(mode).expect("it restarts");
        load.goes_on().await;
        load.look().await;
    }
    load.finish().await;
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_later_is_waited_for() {
    let (cluster, scene) = own(Options::default());
    let mut load = Load::begin(&scene, 2).await;
    cluster.kill().expect("it is killed");
    // Longer than a worker's lease and than any call waits.
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    cluster.start_again().expect("it starts");
    load.goes_on().await;
    load.finish().await;
}

/// The ways of children and strangers to a primary with a synchronous standby.
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
