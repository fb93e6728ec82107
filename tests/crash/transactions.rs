//! Exactly once, where it can be: the process dies at every boundary between two statements of an attempt's transaction,
//! and the user's own rows are counted.

use crate::journal::number;
use crate::kills::integrity;
use crate::scene::{Scene, Victim, within};
use crate::transactions_victim::{QUEUE, STAGES, bookings, make_table};
use abide::prelude::*;
use sqlx::{Connection, SqliteConnection};

/// Workflows of a scene, and how often each books.
const WORKFLOWS: i64 = 3;
const STEPS: i64 = 3;
const BOOKED: i64 = WORKFLOWS * 2 * STEPS;

/// A process dies in the how many-th transaction: in the first, and in later ones.
const CALLS: [&str; 3] = ["1", "2", "4"];

#[tokio::test]
async fn each_activity_books_once_wherever_the_process_dies() {
    for (name, _) in STAGES {
        let scene = Scene::new();
        let runs = start(&scene).await;
        for call in CALLS {
            let variables = [("VICTIM_ABORT_AT", name), ("VICTIM_ABORT_CALL", call)];
            let mut victim: Victim = scene.spawn_with("transact", &variables);
            assert!(!victim.wait().success(), "{name} {call}: it was to die");
            all_rows_are_single(&scene, name).await;
        }
        let worker = scene.ready("transact", &[]);
        for run in &runs {
            let rows = within("it completes", run.result()).await.expect("it completes");
            assert_eq!(rows, 2 * STEPS, "{name}: each activity saw its own row alone");
        }
        worker.stop();
        all_rows_are_single(&scene, name).await;
        let database = scene.database();
        assert_eq!(number(database, "SELECT count(*) FROM booked").await, BOOKED, "{name}");
        assert_eq!(number(database, "SELECT count(*) FROM task").await, 0, "{name}: no token is left");
        assert_eq!(integrity(database).await, "ok");
    }
}

async fn start(scene: &Scene) -> Vec<Handle<bookings>> {
    let abide = scene.open().await;
    make_table(&mut SqliteConnection::connect(scene.url()).await.expect("it opens")).await.expect("a table");
    let client = abide.client().queue(QUEUE);
    let mut runs = Vec::new();
    for n in 0..WORKFLOWS {
        runs.push(client.start(bookings(n, STEPS)).await.expect("it starts"));
    }
    runs
}

async fn all_rows_are_single(scene: &Scene, stage: &str) {
    let twice = "SELECT count(*) FROM (SELECT key FROM booked GROUP BY key HAVING count(*) > 1)";
    assert_eq!(number(scene.database(), twice).await, 0, "{stage}: an activity booked twice");
}
