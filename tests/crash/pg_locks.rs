//! Other sessions on the engine's tables: locks that last, deadlocks, errors that tell a transaction to begin again.
//! Appends wait; a workflow sees nothing of it.

use crate::evidence::Evidence;
use crate::journal::{connect, number};
use crate::load::Load;
use crate::scene::{Scene, eventually};
use crate::workflows::ticks;
use std::time::Duration;

/// Longer than the 5 s for which a statement waits for a lock.
#[tokio::test]
async fn a_lock_on_the_journal_is_waited_out() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    let mut stranger = connect(scene.database()).await;
    stranger.run("BEGIN; LOCK TABLE journal IN ACCESS EXCLUSIVE MODE").await;
    tokio::time::sleep(Duration::from_secs(7)).await;
    stranger.run("COMMIT").await;
    load.goes_on().await;
    load.finish().await;
}

/// Longer than a lease: the workers lose theirs, since none can renew, and begin again.
#[tokio::test]
async fn a_lock_on_the_leases_costs_the_workers_their_incarnations_and_nothing_else() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    let newest = "SELECT max(id) FROM worker";
    let before = number(scene.database(), newest).await;
    let mut stranger = connect(scene.database()).await;
    stranger.run("BEGIN; LOCK TABLE lease IN ACCESS EXCLUSIVE MODE").await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    stranger.run("COMMIT").await;
    load.goes_on().await;
    assert!(number(scene.database(), newest).await > before, "they have begun anew");
    load.finish().await;
}

/// The other session locks executions and then the leases, the writer the leases and then an execution.
#[tokio::test]
async fn a_deadlock_is_no_outcome() {
    let scene = Scene::new();
    let (client, worker) = (scene.client().await, scene.worker());
    let mut runs = Vec::new();
    for n in 0..4 {
        // Whether it only sleeps or has something to do is in its row: that changes with each tick.
        let call = client.start(ticks(600, 10)).id(format!("ticks-{n}"));
        runs.push(call.await.expect("it starts"));
    }
    let mut stranger = connect(scene.database()).await;
    // The session that has waited for a second looks for a deadlock and is broken off: the engine's, since this one
    // waits longer.
    stranger.run("SET deadlock_timeout = '60s'").await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'abide writer'
        AND datname = current_database() AND wait_event_type = 'Lock'";
    eventually("there were some", async || {
        stranger.run("BEGIN; SELECT id FROM execution FOR UPDATE").await;
        for _ in 0..200 {
            if number(scene.database(), waits).await > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stranger.run("SELECT worker FROM lease FOR UPDATE").await;
        stranger.run("COMMIT").await;
        number(scene.database(), deadlocks).await >= 2
    })
    .await;
    for run in &runs {
        assert_eq!(run.result().await.expect("it completes"), 600);
    }
    Evidence::default().check(&scene).await;
    let incarnations = number(scene.database(), "SELECT max(id) FROM worker").await;
    assert_eq!(incarnations, 1, "the worker is the same as before");
    worker.stop();
}

/// The server itself breaks off one of four appends, with each error that means "again" in turn: serialization failure,
/// deadlock, time limit, no lock, no memory, a full disk.
#[tokio::test]
async fn transactions_that_the_server_breaks_off_are_made_again() {
    let scene = Scene::new();
    let mut load = Load::begin(&scene, 2).await;
    let mut stranger = connect(scene.database()).await;
    for state in ["40001", "40P01", "57014", "55P03", "53200", "53100"] {
        let breaks = format!(
            "CREATE OR REPLACE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF random() < 0.25 THEN RAISE EXCEPTION 'a stranger' USING ERRCODE = '{state}'; END IF;
                RETURN NULL; END $$;
            CREATE OR REPLACE TRIGGER breaks AFTER INSERT ON journal FOR EACH STATEMENT EXECUTE FUNCTION breaks()"
        );
        stranger.run(&breaks).await;
        load.goes_on().await;
        load.look().await;
    }
    stranger.run("DROP TRIGGER breaks ON journal").await;
    load.finish().await;
}
