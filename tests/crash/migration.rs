//! Killed while it makes its tables: the next one to open finishes or begins again.

use crate::scene::{Scene, dice};
use crate::workflows::{QUEUE, stubborn, worker};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the first open is killed.
const KILLS: u64 = 24;

#[tokio::test]
async fn a_first_open_that_is_killed_is_finished_by_the_next() {
    let whole = Scene::new();
    let since = Instant::now();
    drop(whole.ready("open", &[]));
    let takes = since.elapsed();
    drop(whole.open().await);
    let expected = tables(&whole.path("abide.db")).await;
    let (mut dice, mut unfinished) = (dice(), 0);
    for kill in 0..KILLS {
        let scene = Scene::new();
        let mut first = scene.spawn("open");
        first.until_says("begun");
        match kill % 4 {
            0 => until(&mut first, || scene.path("abide.db").exists()),
            1 => until(&mut first, || scene.path("abide.db-wal").exists()),
            2 => until(&mut first, || length(&scene.path("abide.db-wal")) > 0),
            _ => tokio::time::sleep(dice.wait(takes)).await,
        }
        unfinished += u64::from(first.kill());
        let abide = scene.open().await;
        assert_eq!(tables(&scene.path("abide.db")).await, expected, "kill {kill}");
        let worker = worker(&abide, &scene.ledger()).start().await.expect("a worker starts");
        let run = abide.client().task_queue(QUEUE).start(stubborn(1)).await.expect("it takes work");
        assert_eq!(run.result().await.expect("it completes"), 20);
        worker.shutdown().await.expect("it shuts down");
    }
    assert!(unfinished > 0, "some were killed before they had finished");
    eprintln!("{unfinished} of {KILLS} killed in the middle");
}

#[tokio::test]
async fn many_that_open_a_new_file_at_once_make_one_database_whoever_is_killed() {
    let whole = Scene::new();
    drop(whole.open().await);
    let expected = tables(&whole.path("abide.db")).await;
    let mut dice = dice();
    for round in 0..8 {
        let scene = Scene::new();
        let all: Vec<_> = (0..6).map(|_| scene.spawn("open")).collect();
        let mut left = Vec::new();
        for (n, victim) in all.into_iter().enumerate() {
            if n % 2 == round % 2 {
                tokio::time::sleep(dice.wait(Duration::from_millis(8))).await;
                victim.kill();
            } else {
                left.push(victim);
            }
        }
        for mut victim in left {
            victim.until_says("ready");
            assert!(victim.wait().success(), "round {round}");
        }
        assert_eq!(tables(&scene.path("abide.db")).await, expected, "round {round}");
        let abide = scene.open().await;
        let worker = worker(&abide, &scene.ledger()).start().await.expect("a worker starts");
        let run = abide.client().task_queue(QUEUE).start(stubborn(1)).await.expect("it takes work");
        assert_eq!(run.result().await.expect("it completes"), 20);
        worker.shutdown().await.expect("it shuts down");
    }
}

/// Waits for a moment of the first open; its end will do where the moment was missed.
fn until(first: &mut crate::scene::Victim, moment: impl Fn() -> bool) {
    while !moment() && !first.has_ended() {
        std::thread::sleep(Duration::from_micros(50));
    }
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Every table and index as SQLite has it, and the migrations that were noted.
async fn tables(path: &Path) -> Vec<String> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.connect().await.expect("the database can be read");
    let query = "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'
        UNION ALL SELECT 'version ' || version FROM abide_migration ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(&mut connection).await.expect("the tables are there")
}
