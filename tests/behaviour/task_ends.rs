//! How attempts elsewhere end: by failures, time limits, cancellation, the loss or the shutdown of their worker.

use super::farm::{
    farm, flaky, flows, in_all, loses, once, renders, slow, soon_or_never, sturdy, tidies, tidies_nothing,
    to_a_queue,
};
use super::support::{Db, Log, eventually};
use abide::prelude::*;
use std::time::Duration;

#[tokio::test]
async fn attempts_are_counted_limited_and_typed() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let good = db.client().start(flaky(3)).await.unwrap();
    assert_eq!(good.result().await.unwrap(), 3);
    let bad = db.client().start(flaky(4)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = bad.result().await else { panic!("no") };
    assert_eq!(error.to_string(), "attempt 3");
    let three = ["flaky 1", "flaky 2", "flaky 3"];
    assert_eq!(log.lines(), [three, three].concat());
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn time_limits_hold_elsewhere() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let run = db.client().start(soon_or_never()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = run.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::ScheduleToStart, "nobody is there");
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(slow()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = run.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::StartToClose);
    assert_eq!(log.lines(), ["slow 1", "slow 2"], "that of an attempt is worth another");
    let run = db.client().start(in_all()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = run.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::ScheduleToClose);
    assert_eq!(log.lines()[2..], ["in all 1"]);
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_dropped_call_stops_its_attempt_and_is_not_waited_for() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(loses()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    eventually("it was told", async || log.lines() == ["endless 1", "stopped"]).await;
    // What no worker has begun is never begun.
    farm.shutdown().await.unwrap();
    let run = db.client().start(loses()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    let again = self::farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(renders(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(log.lines()[2..], ["render 1"]);
    flows.shutdown().await.unwrap();
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_close_waits_for_an_end_elsewhere_where_it_was_asked_to() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(tidies()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    assert_eq!(log.lines(), ["tidy 1", "tidied up"], "before the close");
    farm.shutdown().await.unwrap();
    // No worker has begun it, and none will.
    for run in [db.client().start(tidies()).await.unwrap(), db.client().start(tidies()).await.unwrap()] {
        assert_eq!(run.result().await.unwrap(), 7);
    }
    let run = db.client().start(tidies_nothing()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 8);
    assert_eq!(log.lines().len(), 2);
    flows.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_and_a_terminated_workflow_stop_theirs() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    eventually("it runs", async || log.lines() == ["sturdy 1"]).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    let run = db.client().start(to_a_queue("nobody's".to_owned())).await.unwrap();
    run.terminate("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Terminated)));
    let run = db.client().start(loses()).await.unwrap();
    eventually("it runs", async || log.lines().contains(&"endless 1".to_owned())).await;
    run.terminate("enough").await.unwrap();
    eventually("it was told", async || log.lines().contains(&"stopped".to_owned())).await;
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_loses_its_worker_is_run_by_another() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let first = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    let once = db.client().start(once()).await.unwrap();
    eventually("both run", async || log.lines().len() == 2).await;
    drop(first);
    let second = farm(&db.abide, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert!(matches!(once.result().await, Err(WorkflowError::Failed(CallError::WorkerLost))));
    assert_eq!(log.counts().get("once 1"), Some(&1));
    assert_eq!(log.lines().len(), 3, "what may run once never runs twice: {:?}", log.lines());
    flows.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_fails_what_runs_and_gives_back_what_waits() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let short = |slots| {
        farm(&db.abide, &log).max_concurrent_activities(slots).shutdown_grace(Duration::from_millis(50))
    };
    let first = short(1).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    eventually("it runs", async || log.lines().len() == 1).await;
    let waiting = db.client().start(renders(3)).await.unwrap();
    eventually("it is sent", async || waiting.describe().await.unwrap().history_length >= 4).await;
    first.shutdown().await.unwrap();
    eventually("its failure is recorded", async || {
        let pending = run.describe().await.unwrap().pending_activities;
        pending.iter().any(|activity| activity.attempt == 2)
    })
    .await;
    let failure = run.describe().await.unwrap().pending_activities[0].last_failure.clone().unwrap();
    assert_eq!(failure.kind, abide::history::FailureKind::WorkerShutdown);
    let second = short(2).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(waiting.result().await.unwrap(), 6);
    flows.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}
