//! Exactly once, where it can be: the process dies at every boundary between two statements of an attempt's
//! transaction, and the user's own rows are counted.

use crate::journal::{connect, number};
use crate::scene::{Scene, Victim, within};
use crate::transactions_victim::{QUEUE, STAGES, TABLE, bookings};
use abide::prelude::*;
use futures::future::join_all;

/// Workflows of a scene, and how often each books.
const WORKFLOWS: i64 = 3;
const STEPS: i64 = 3;
const BOOKED: i64 = WORKFLOWS * 2 * STEPS;

/// A process dies in the how many-th transaction: in the first, and in later ones.
const CALLS: [&str; 3] = ["1", "2", "4"];

/// The stages at once, each in a database of its own: on a server each death is told by a lease that runs out.
#[tokio::test]
async fn each_activity_books_once_wherever_the_process_dies() {
    join_all(STAGES.map(|(name, _)| dies_at(name))).await;
}

async fn dies_at(stage: &str) {
    let scene = Scene::new();
    let runs = start(&scene).await;
    for call in CALLS {
        let variables = [("VICTIM_ABORT_AT", stage), ("VICTIM_ABORT_CALL", call)];
        let mut victim: Victim = scene.spawn_with("transact", &variables);
        let ended = tokio::task::spawn_blocking(move || victim.wait()).await.expect("it is waited for");
        assert!(!ended.success(), "{stage} {call}: it was to die");
        all_rows_are_single(&scene, stage).await;
    }
    let worker = scene.ready("transact", &[]);
    for run in &runs {
        let rows = within("it completes", run.result()).await.expect("it completes");
        assert_eq!(rows, 2 * STEPS, "{stage}: each activity saw its own row alone");
    }
    worker.stop();
    all_rows_are_single(&scene, stage).await;
    let database = scene.database();
    assert_eq!(number(database, "SELECT count(*) FROM booked").await, BOOKED, "{stage}");
    assert_eq!(number(database, "SELECT count(*) FROM task").await, 0, "{stage}: no token is left");
    assert_eq!(
        number(database, "SELECT count(*) FROM attempt").await,
        0,
        "{stage}: no failed attempt is left"
    );
}

async fn start(scene: &Scene) -> Vec<Handle<bookings>> {
    let abide = scene.open().await;
    // Where the user's own statements find it, and those of the test.
    let table = if crate::ON_POSTGRES { TABLE.replace("booked", "public.booked") } else { TABLE.to_owned() };
    connect(scene.database()).await.run(&table).await;
    let client = abide.client().task_queue(QUEUE);
    let mut runs = Vec::new();
    for n in 0..WORKFLOWS {
        runs.push(client.start(bookings(n, STEPS, crate::ON_POSTGRES)).await.expect("it starts"));
    }
    runs
}

async fn all_rows_are_single(scene: &Scene, stage: &str) {
    let twice = "SELECT count(*) FROM (SELECT key FROM booked GROUP BY key HAVING count(*) > 1) twice";
    assert_eq!(number(scene.database(), twice).await, 0, "{stage}: an activity booked twice");
}
