//! The server itself goes: it restarts, it crashes, it is away for a while. What was acknowledged is there, nothing is
//! done twice, and no worker needs to be started again.

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
