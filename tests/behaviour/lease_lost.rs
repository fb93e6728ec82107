//! A worker that loses its lease begins again by itself. Meanwhile nothing is refused that would be taken a
//! moment later, and the workflows end only as their code says.

use super::ends::Gate;
use super::support::{Db, Log, Steps, eventually};
use abide::__private::{Stage, StoreFault};
use abide::prelude::*;
use sqlx::{Connection, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[workflow]
async fn through_the_gate(n: u32) -> Result<u32, Failure> {
    let before = Steps::note(n).await?;
    Gate::pass().await?;
    Ok(before + Steps::note(n + 100).await?)
}

/// A database whose commits fail while the flag is up.
async fn open(folder: &tempfile::TempDir, fault: StoreFault) -> (Abide, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&fails);
    let hook =
        move |stage: Stage| (stage == Stage::BeforeCommit && flag.load(Ordering::Relaxed)).then_some(fault);
    let builder = Abide::builder(Db::url(folder)).busy_timeout(Duration::from_millis(300));
    (builder.fault(Arc::new(hook)).open().await.unwrap(), fails)
}

async fn fate(folder: &tempfile::TempDir) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("abide.db"));
    SqliteConnection::connect_with(&options).await.unwrap()
}

#[tokio::test]
async fn a_start_without_a_queue_finds_the_worker_that_registers_anew() {
    let (folder, gate, log) = (tempfile::tempdir().unwrap(), Gate::closed(), Log::default());
    let (abide, full) = open(&folder, StoreFault::Full).await;
    let worker = abide.worker("lease").workflow(through_the_gate).activities(Steps(log.clone()));
    let worker = worker.activities(gate.clone()).start().await.unwrap();
    gate.open();
    // It can neither renew nor register while this is up.
    full.store(true, Ordering::Relaxed);
    sqlx::query("DELETE FROM lease").execute(&mut fate(&folder).await).await.unwrap();
    for n in 0..8 {
        if let Err(error) = abide.client().start(through_the_gate(n)).id(format!("gap-{n}")).await {
            assert_ne!(error.code(), "AB0411", "start {n}: {error}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    full.store(false, Ordering::Relaxed);
    let run = abide.client().start(through_the_gate(1)).id("after").await.unwrap();
    eventually("it completes", async || run.result().await.is_ok_and(|sum| sum == 102)).await;
    worker.shutdown().await.unwrap();
    let error = abide.client().start(through_the_gate(1)).await.unwrap_err();
    assert_eq!(error.code(), "AB0411", "a worker that has shut down serves nobody");
}

#[tokio::test]
async fn a_disk_that_is_full_for_longer_than_the_lease() {
    let (folder, gate, log) = (tempfile::tempdir().unwrap(), Gate::closed(), Log::default());
    let (abide, full) = open(&folder, StoreFault::Full).await;
    let worker = abide.worker("lease").workflow(through_the_gate).activities(Steps(log.clone()));
    let worker = worker.activities(gate.clone()).start().await.unwrap();
    let mut runs = Vec::new();
    for n in 0..6 {
        runs.push((n, abide.client().start(through_the_gate(n)).await.unwrap()));
    }
    for (_, run) in &runs {
        Gate::reached(&run.untyped()).await;
    }
    full.store(true, Ordering::Relaxed);
    gate.open();
    tokio::time::sleep(Duration::from_secs(20)).await;
    for (_, run) in &runs {
        let status = run.describe().await.unwrap().status;
        assert_eq!(status, ExecutionStatus::Running, "nobody blames the workflow");
    }
    full.store(false, Ordering::Relaxed);
    for (n, run) in &runs {
        eventually("it completes", async || run.result().await.is_ok_and(|sum| sum == 2 * n + 100)).await;
    }
    assert!(log.counts().values().all(|times| *times <= 2), "{:?}", log.lines());
    let notes = log.counts();
    assert!((0..6).all(|n| notes[&format!("note {n}")] == 1), "a committed step never runs again: {notes:?}");
    worker.shutdown().await.unwrap();
}

/// The file system turns read-only under the worker: it stops and says why, and the next process goes on.
#[tokio::test]
async fn a_database_that_turns_read_only() {
    let (folder, gate, log) = (tempfile::tempdir().unwrap(), Gate::closed(), Log::default());
    let (abide, read_only) = open(&folder, StoreFault::ReadOnly).await;
    let worker = abide.worker("lease").workflow(through_the_gate).activities(Steps(log.clone()));
    let mut worker = worker.activities(gate.clone()).start().await.unwrap();
    let run = abide.client().start(through_the_gate(1)).await.unwrap();
    Gate::reached(&run.untyped()).await;
    read_only.store(true, Ordering::Relaxed);
    gate.open();
    let stopped = tokio::time::timeout(Duration::from_secs(30), worker.stopped()).await;
    let error = stopped.expect("it stops").expect_err("it says why");
    assert_eq!(error.code(), "AB0607");
    assert!(error.to_string().contains("AB0502"), "{error}");
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running, "nobody blames the workflow");
    tokio::time::sleep(Duration::from_secs(13)).await;
    read_only.store(false, Ordering::Relaxed);
    drop(worker);
    let again = Db::open(&folder).await;
    let next = again.worker("lease").workflow(through_the_gate).activities(Steps(log.clone()));
    let next = next.activities(gate).start().await.unwrap();
    let run = again.client().execution(run.id());
    eventually("it completes", async || {
        run.describe().await.is_ok_and(|d| d.status == ExecutionStatus::Completed)
    })
    .await;
    assert_eq!(log.counts()["note 1"], 1);
    next.shutdown().await.unwrap();
}
