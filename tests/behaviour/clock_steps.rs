//! Somebody sets the wall clock back or forward by an hour while a worker runs.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const HOUR_MS: i64 = 3_600_000;

#[workflow]
async fn naps(ms: u64, times: u32) -> Result<u32, Failure> {
    for n in 0..times {
        workflow::sleep(Duration::from_millis(ms)).await;
        Steps::note(n).await?;
    }
    Ok(times)
}

async fn open(folder: &tempfile::TempDir, skew: &Arc<AtomicI64>) -> Abide {
    Abide::builder(Db::url(folder)).clock_skew_ms(Arc::clone(skew)).open().await.unwrap()
}

#[tokio::test]
async fn set_back_timers_and_leases_go_on() {
    let (folder, log, skew) = (tempfile::tempdir().unwrap(), Log::default(), Arc::default());
    let abide = open(&folder, &skew).await;
    let worker = abide.worker("clock").workflow(naps).activities(Steps(log.clone())).start().await.unwrap();
    let run = abide.client().start(naps(500, 24)).await.unwrap();
    eventually("it naps", async || log.lines().len() == 2).await;
    skew.store(-HOUR_MS, Ordering::Relaxed);
    let since = Instant::now();
    // Longer than the lease.
    assert_eq!(run.result().await.unwrap(), 24);
    assert!(since.elapsed() > Duration::from_secs(10) && since.elapsed() < Duration::from_secs(60));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn set_forward_a_time_limit_of_that_time_runs_out_and_no_other() {
    let (folder, skew) = (tempfile::tempdir().unwrap(), Arc::default());
    let abide = open(&folder, &skew).await;
    let worker =
        abide.worker("clock").workflow(naps).activities(Steps(Log::default())).start().await.unwrap();
    let start = |limit| abide.client().start(naps(86_400_000, 1)).run_timeout(limit);
    let late = start(Duration::from_secs(1_800)).await.unwrap();
    let open = start(Duration::from_secs(7_200)).await.unwrap();
    // Of a task queue that no worker serves: any worker ends it.
    let unowned = start(Duration::from_secs(1_800)).task_queue("nobody's").await.unwrap();
    skew.store(HOUR_MS, Ordering::Relaxed);
    for run in [late, unowned] {
        let end = run.result().await.unwrap_err();
        assert!(matches!(end, WorkflowError::TimedOut { .. }), "{end:?}");
    }
    assert_eq!(open.describe().await.unwrap().status, ExecutionStatus::Running);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn set_forward_a_timer_of_that_time_fires_and_nothing_else_happens() {
    let (folder, log, skew) = (tempfile::tempdir().unwrap(), Log::default(), Arc::default());
    let abide = open(&folder, &skew).await;
    let worker = abide.worker("clock").workflow(naps).activities(Steps(log.clone())).start().await.unwrap();
    let short = abide.client().start(naps(3_000_000, 1)).await.unwrap();
    let long = abide.client().start(naps(86_400_000, 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    skew.store(HOUR_MS, Ordering::Relaxed);
    eventually("the timer is due", async || log.lines().len() == 1).await;
    assert_eq!(short.result().await.unwrap(), 1);
    tokio::time::sleep(Duration::from_secs(14)).await;
    let waits = long.describe().await.unwrap();
    assert_eq!((waits.status, waits.pending_timers.len()), (ExecutionStatus::Running, 1));
    // Put right again, and a new process: what is in the journal never goes back.
    skew.store(0, Ordering::Relaxed);
    worker.shutdown().await.unwrap();
    abide.close().await.unwrap();
    let abide = open(&folder, &skew).await;
    let worker = abide.worker("clock").workflow(naps).activities(Steps(log.clone())).start().await.unwrap();
    let run = abide.client().start(naps(100, 3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    worker.shutdown().await.unwrap();
}
