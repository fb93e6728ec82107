//! Cancellation is Rust's: the future is dropped at its await (PROTOCOL 29).

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

#[workflow]
async fn waits() -> Result<String, Failure> {
    Ok(Steps::endless("only".to_owned()).await?)
}

#[workflow]
async fn shields() -> Result<(), Failure> {
    workflow::shielded(async {
        Steps::note(1).await?;
        workflow::sleep(std::time::Duration::from_millis(300)).await;
        Steps::note(2).await
    })
    .await?;
    Steps::note(3).await?;
    Ok(())
}

#[workflow]
async fn decides() -> Result<String, Failure> {
    let reason = workflow::cancelled().await;
    Steps::note(9).await?;
    Ok(format!("went on after: {reason}"))
}

#[workflow]
async fn loses() -> Result<String, Failure> {
    workflow::select! {
        _ = Steps::endless("loser".to_owned()) => Ok("activity".to_owned()),
        () = workflow::sleep(std::time::Duration::from_millis(50)) => Ok("timer".to_owned()),
    }
}

#[workflow]
async fn expires() -> bool {
    workflow::timeout(std::time::Duration::from_millis(50), Steps::endless("late".to_owned())).await.is_err()
}

async fn worker(db: &Db, log: &Log) -> abide::Worker {
    let builder =
        db.abide.worker("cancel").workflow(waits).workflow(shields).workflow(decides).workflow(loses);
    builder.workflow(expires).activities(Steps(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn a_cancelled_workflow_is_dropped_and_its_activity_sees_the_token() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(waits()).await.unwrap();
    eventually("it began", async || log.lines() == ["begin only"]).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    eventually("the activity stopped", async || log.lines().contains(&"stopped only".to_owned())).await;
    assert_eq!(run.describe().await.unwrap().status, abide::ExecutionStatus::Canceled);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shielded_block_is_finished_first() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(shields()).await.unwrap();
    eventually("the block began", async || log.lines() == ["note 1"]).await;
    run.cancel("now").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(log.lines(), ["note 1", "note 2"], "the block ends, what follows does not begin");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_may_decide_for_itself() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(decides()).await.unwrap();
    run.cancel("please stop").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "went on after: please stop");
    assert_eq!(log.lines(), ["note 9"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lost_branch_and_an_expired_timeout_cancel_their_activity() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let lost = db.client().start(loses()).await.unwrap();
    assert_eq!(lost.result().await.unwrap(), "timer");
    let expired = db.client().start(expires()).await.unwrap();
    assert!(expired.result().await.unwrap());
    eventually("both stopped", async || {
        let counts = log.counts();
        counts.contains_key("stopped loser") && counts.contains_key("stopped late")
    })
    .await;
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn terminate_runs_no_workflow_code() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(decides()).await.unwrap();
    run.terminate("operator").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Terminated)));
    assert!(log.lines().is_empty());
    let late = run.cancel("too late").await.unwrap_err();
    assert_eq!(late.code(), "AB0407");
    worker.shutdown().await.unwrap();
}
