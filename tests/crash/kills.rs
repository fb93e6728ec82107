//! The kill loop: a service under load is killed at random points, again and again, and its ledger is held against
//! its database after each kill.

use crate::evidence::Evidence;
use crate::expected::{all_right, trips_were_undone};
use crate::journal::{Database, connect};
use crate::scene::{Dice, Scene, Victim, dice, eventually};
use std::time::Duration;

/// A database takes so many kills before a fresh one follows: each look reads all of it.
const KILLS_A_SCENE: u64 = 34;

#[tokio::test]
async fn no_kill_loses_or_repeats_anything() {
    let kills = std::env::var("ABIDE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_A_SCENE);
    let mut dice = dice();
    let mut done = 0;
    while done < kills {
        let wanted = KILLS_A_SCENE.min(kills - done);
        done += one_scene(&mut dice, wanted).await;
        eprintln!("{done} kills");
    }
}

/// Kills workers `wanted` times in one database, then lets everything finish. Gives how many were killed at work.
async fn one_scene(dice: &mut Dice, wanted: u64) -> u64 {
    let scene = Scene::new();
    let mut evidence = Evidence::default();
    // Kills of the first open have a test of their own.
    drop(scene.open().await);
    let mut outside: Option<Victim> = None;
    let mut kills = 0;
    while kills < wanted {
        let mut sender = outside.take().filter(|_| dice.below(4) > 0).unwrap_or_else(|| scene.spawn("send"));
        let role = ["work", "both"][dice.below(2) as usize];
        let mut worker = scene.spawn(role);
        // Mostly at work, at times while it opens, registers and takes over.
        let life = match dice.below(12) {
            0 | 1 => Duration::from_millis(150),
            // Long enough for those that went down with several workers in a row to be tried again.
            2 => Duration::from_millis(2_500),
            _ => Duration::from_millis(900),
        };
        if life > Duration::from_millis(150) {
            worker.until_says("ready");
        }
        tokio::time::sleep(dice.wait(life)).await;
        assert!(!sender.has_ended(), "a sender gave up");
        kills += u64::from(worker.kill());
        match dice.below(4) {
            0 => drop(sender.kill()),
            _ => outside = Some(sender),
        }
        let executions = evidence.check(&scene).await;
        // A kill from outside makes no run a suspect (PROTOCOL 19).
        let suspended = executions.values().find(|execution| execution.status == 1);
        assert!(suspended.is_none(), "{:?}", suspended.map(|e| (&e.workflow_id, &e.suspension)));
    }
    finish(&scene, &mut evidence).await;
    kills
}

/// Lets the senders end what they began, and everything complete.
async fn finish(scene: &Scene, evidence: &mut Evidence) {
    std::fs::write(scene.path("stop"), "").expect("it can be written");
    let mut worker = scene.ready("both", &[]);
    let mut sender = scene.spawn("send");
    // Each may still start its last one while no other is open.
    worker.until_says("sent");
    assert!(sender.wait().success(), "the sender ends cleanly");
    let database = scene.database();
    let open = "SELECT count(*) FROM execution WHERE status < 10";
    eventually("everything completes", async || crate::journal::number(database, open).await == 0).await;
    worker.stop();
    let executions = evidence.check(scene).await;
    assert!(executions.len() > 12, "there was something to kill: {}", executions.len());
    all_right(executions.values());
    trips_were_undone(executions.values());
    assert_eq!(integrity(database).await, "ok");
    eprintln!("{} executions", executions.len());
}

/// What SQLite thinks of the file.
pub(crate) async fn integrity(database: &Database) -> String {
    let found = connect(database).await.rows("PRAGMA integrity_check").await.expect("it can be checked");
    found.into_iter().flatten().flatten().collect()
}
