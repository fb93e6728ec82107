//! Databases that cannot be used, told at once and with a code; and those that cannot be used for a while.

use super::ends::{Gate, refused, says};
use super::support::{Db, Log, Steps, eventually};
use abide::__private::{FaultHook, Stage, StoreFault};
use abide::prelude::*;
use sqlx::{Connection, Executor, SqliteConnection};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[workflow]
async fn steps(of: u32) -> Result<u32, Failure> {
    let mut sum = 0;
    for n in 0..of {
        sum += Steps::note(n).await?;
        workflow::sleep(Duration::from_millis(20)).await;
    }
    Gate::pass().await?;
    Ok(sum + Steps::note(100).await?)
}

/// Another program's connection to the same file.
async fn stranger(folder: &tempfile::TempDir) -> SqliteConnection {
    let path = folder.path().join("abide.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn open(location: impl Into<abide::Location>) -> abide::Error {
    Abide::open(location).await.expect_err("it cannot be opened")
}

#[tokio::test]
async fn urls_and_paths() {
    for url in ["orders.db", "redis://me:secret@host/db", "mysql://host/db", "sqlite://", "sqlite::memory:"] {
        let error = open(url).await;
        assert_eq!(error.code(), "AB0509", "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "").unwrap();
    for name in ["", "missing/orders.db", "file/orders.db"] {
        assert_eq!(open(at(name)).await.code(), "AB0501", "{name}");
        assert_eq!(open(format!("sqlite://{}", at(name).display())).await.code(), "AB0501", "{name}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was made");
    let abide = Abide::open(at("what?.db")).await.unwrap();
    assert!(at("what?.db").exists(), "a path is a file, and no URL");
    abide.close().await.unwrap();
}

#[tokio::test]
async fn read_only() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let run = abide.client().task_queue("db").start(steps(0)).await.unwrap();
    abide.close().await.unwrap();
    let file = folder.path().join("abide.db");
    let writable = fs::metadata(&file).unwrap().permissions();
    let mut locked = writable.clone();
    locked.set_readonly(true);
    fs::set_permissions(&file, locked).unwrap();
    assert_eq!(open(Db::url(&folder)).await.code(), "AB0502");
    fs::set_permissions(&file, writable).unwrap();
    let abide = Db::open(&folder).await;
    assert!(abide.client().execution(run.id()).describe().await.is_ok(), "it is as it was");
}

#[tokio::test]
async fn not_a_database_of_abides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("abide.db");
    fs::write(&file, "these are the minutes of the meeting").unwrap();
    assert_eq!(open(Db::url(&folder)).await.code(), "AB0505");
    assert_eq!(fs::read_to_string(&file).unwrap(), "these are the minutes of the meeting");
    fs::remove_file(&file).unwrap();

    let mut other = stranger(&folder).await;
    other.execute("CREATE TABLE invoice (id INTEGER)").await.unwrap();
    let error = open(Db::url(&folder)).await;
    assert_eq!(error.code(), "AB0505");
    says(&error.to_string(), &["invoice"]);
    let tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table'";
    let count: i64 = sqlx::query_scalar(tables).fetch_one(&mut other).await.unwrap();
    assert_eq!(count, 1, "nothing was added to somebody else's file");
}

#[tokio::test]
async fn written_by_a_newer_version() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let run = abide.client().task_queue("db").start(steps(0)).await.unwrap();
    abide.close().await.unwrap();
    let mut later = stranger(&folder).await;
    let insert = "INSERT INTO abide_migration (version, build, applied_at) VALUES (999, 'later', 0)";
    later.execute(insert).await.unwrap();
    let error = open(Db::url(&folder)).await;
    assert_eq!(error.code(), "AB0506");
    says(&error.to_string(), &["999", "newer build"]);
    later.execute("DELETE FROM abide_migration WHERE version = 999").await.unwrap();
    let abide = Db::open(&folder).await;
    assert!(abide.client().execution(run.id()).describe().await.is_ok());
}

#[tokio::test]
async fn locked_by_a_stranger() {
    let (folder, gate, log) = (tempfile::tempdir().unwrap(), Gate::closed(), Log::default());
    let abide = Db::open(&folder).await;
    let worker = abide.worker("db").workflow(steps).activities(Steps(log.clone())).activities(gate.clone());
    let worker = worker.start().await.unwrap();
    let mut runs = Vec::new();
    for n in 0..8 {
        runs.push(abide.client().start(steps(n)).await.unwrap());
    }
    let impatient = Abide::builder(Db::url(&folder)).busy_timeout(Duration::from_millis(300)).open();
    let impatient = impatient.await.unwrap().client().task_queue("elsewhere");

    let mut stranger = stranger(&folder).await;
    stranger.execute("BEGIN IMMEDIATE").await.unwrap();
    gate.open();
    let error = impatient.start(steps(1)).id("late").await.unwrap_err();
    assert_eq!(error.code(), "AB0503");
    assert_eq!(refused(impatient.execution(runs[0].id()).cancel("now").await), "AB0503");
    says(&error.to_string(), &["locked by another program"]);
    assert_eq!(refused(impatient.execution("late").describe().await), "AB0406", "reading goes on");
    tokio::time::sleep(Duration::from_secs(10)).await;
    stranger.execute("ROLLBACK").await.unwrap();

    for (n, run) in (0..8).zip(&runs) {
        let sum = (0..n).sum::<u32>() + 100;
        eventually("it goes on", async || run.result().await.is_ok_and(|got| got == sum)).await;
    }
    impatient.start(steps(1)).id("late").await.unwrap();
    worker.shutdown().await.unwrap();
}

/// A hook that injects `fault` into every commit while the flag is up.
fn broken_while(fault: StoreFault) -> (Arc<AtomicBool>, FaultHook) {
    let (up, seen) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let flag = Arc::clone(&up);
    let hook = move |stage: Stage| {
        let now = stage == Stage::BeforeCommit && flag.load(Ordering::Relaxed);
        seen.fetch_or(now, Ordering::Relaxed);
        now.then_some(fault)
    };
    (up, Arc::new(hook))
}

#[tokio::test]
async fn a_full_disk() {
    let (folder, gate, log) = (tempfile::tempdir().unwrap(), Gate::closed(), Log::default());
    let (full, hook) = broken_while(StoreFault::Full);
    let abide = Abide::builder(Db::url(&folder)).busy_timeout(Duration::from_millis(300)).fault(hook);
    let abide = abide.open().await.unwrap();
    let worker = abide.worker("db").workflow(steps).activities(Steps(log.clone())).activities(gate.clone());
    let worker = worker.start().await.unwrap();
    let run = abide.client().start(steps(3)).await.unwrap();
    Gate::reached(&run.untyped()).await;

    full.store(true, Ordering::Relaxed);
    gate.open();
    let client = abide.client().task_queue("elsewhere");
    assert_eq!(refused(client.start(steps(1)).id("late").await), "AB0504");
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running, "nobody blames the workflow");
    tokio::time::sleep(Duration::from_secs(1)).await;
    full.store(false, Ordering::Relaxed);

    eventually("it goes on", async || run.result().await.is_ok_and(|sum| sum == 103)).await;
    client.start(steps(1)).id("late").await.unwrap();
    assert!(log.counts().values().all(|times| *times == 1), "nothing ran twice: {:?}", log.lines());
    worker.shutdown().await.unwrap();
}

/// The database refuses one row for ever: it delays no other run.
#[tokio::test]
async fn a_row_that_is_refused() {
    let (folder, log) = (tempfile::tempdir().unwrap(), Log::default());
    let abide = Db::open(&folder).await;
    let (gate, mut stranger) = (Gate::closed(), stranger(&folder).await);
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON journal WHEN NEW.body LIKE '%[1665]%' OR NEW.body \
                  LIKE '%[666]%'
        BEGIN SELECT RAISE(ABORT, 'not that number'); END";
    stranger.execute(refuse).await.unwrap();
    let worker = abide.worker("db").workflow(counts_from).activities(Steps(log.clone()));
    let worker = worker.activities(gate.clone()).start().await.unwrap();
    let bad = abide.client().start(counts_from(665)).await.unwrap();
    let mut others = Vec::new();
    for n in 0..20 {
        others.push((n, abide.client().start(counts_from(n)).await.unwrap()));
    }
    gate.open();
    for (n, run) in &others {
        assert_eq!(run.result().await.unwrap(), 2 * n + 1_000);
    }
    let told = super::ends::reason(bad.result().await);
    assert_eq!(told.code(), "AB0212");
    says(told.message(), &["not that number"]);
    let error = abide.client().start(counts_from(666)).await.unwrap_err();
    assert_eq!(error.code(), "AB0212", "{error}");
    stranger.execute("DROP TRIGGER refuse").await.unwrap();
    bad.resume().await.unwrap();
    eventually("it goes on", async || bad.result().await.is_ok_and(|sum| sum == 2_330)).await;
    assert!(log.counts().values().all(|times| *times == 1), "nothing ran twice: {:?}", log.lines());
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn counts_from(n: u32) -> Result<u32, Failure> {
    let first = Steps::note(n).await?;
    Gate::pass().await?;
    Ok(first + Steps::note(n + 1_000).await?)
}
