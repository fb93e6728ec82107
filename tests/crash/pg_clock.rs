//! Workers whose clocks are an hour off. On Postgres the server's clock counts alone, so it does not matter whose are:
//! here the server's is moved against that of every worker, by a user's function that hides the built-in one.

use crate::journal::{connect, number};
use crate::load::Load;
use crate::scene::{Scene, eventually, within};
use crate::workflows::ticks;
use std::time::{Duration, Instant};

async fn moved_by(hours: i64) {
    let scene = Scene::new();
    let name = scene.url().rsplit('/').next().expect("it ends in its name");
    let hide = format!(
        "CREATE SCHEMA moved;
        CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
            'SELECT pg_catalog.clock_timestamp() + {hours} * interval ''1 hour''';
        ALTER DATABASE {name} SET search_path = moved, pg_catalog"
    );
    connect(scene.database()).await.run(&hide).await;
    let mut load = Load::begin(&scene, 2).await;

    let (client, since) = (scene.client().await, Instant::now());
    let run = client.start(ticks(3, 400)).id("ticks-3").await.expect("it starts");
    within("its timers fire", run.result()).await.expect("it completes");
    assert!(since.elapsed() >= Duration::from_millis(1_200), "its timers fired early");
    // Of a time that is an hour off nothing is found, and everything of the server's.
    let off = "SELECT count(*) FROM journal WHERE abs(at - extract(epoch FROM clock_timestamp()) * 1000";
    let off = format!("{off} - {hours} * 3600000) > 600000");
    assert_eq!(number(scene.database(), &off).await, 0, "a worker's own clock was written down");

    // Leases too: a dead worker's runs out, a living one's does not.
    assert!(load.workers.swap_remove(0).kill());
    let dead = "SELECT count(*) FROM worker";
    eventually("it is taken over", async || number(scene.database(), dead).await == 1).await;
    assert_eq!(number(scene.database(), "SELECT max(id) FROM worker").await, 2, "the other one stays");
    load.goes_on().await;
    // It is of no kind that a sender knows.
    connect(scene.database()).await.run("DELETE FROM execution WHERE workflow_id = 'ticks-3'").await;
    connect(scene.database())
        .await
        .run("DELETE FROM journal WHERE execution NOT IN (SELECT id FROM execution)")
        .await;
    load.finish().await;
}

#[tokio::test]
async fn workers_an_hour_behind_or_ahead_of_the_server_go_by_its_clock() {
    tokio::join!(moved_by(1), moved_by(-1));
}
