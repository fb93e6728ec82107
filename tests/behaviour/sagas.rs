//! Sagas (PROTOCOL 30): in reverse order, on failure and when cancelled, and one that fails stops no other.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

#[workflow]
async fn trip(undoes: Vec<String>, end: String) -> Result<u32, Failure> {
    let mut saga = workflow::saga();
    for (n, name) in (0..).zip(undoes) {
        Steps::note(n).await?;
        saga.on_failure(Steps::undo(name));
    }
    match end.as_str() {
        "fail" => Steps::refuse("hotel".to_owned()).await?,
        "wait" => workflow::sleep(days(30)).await,
        "by hand" => {
            let failed = saga.compensate().await.err().map_or(0, |error| error.failures.len());
            return Ok(u32::try_from(failed)?);
        }
        _ => {}
    }
    Ok(0)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// What was undone, in order.
fn undone(log: &Log) -> Vec<String> {
    log.lines().into_iter().filter(|line| line.starts_with("undo")).collect()
}

async fn worker(db: &Db, log: &Log) -> abide::Worker {
    db.abide.worker("trips").workflow(trip).activities(Steps(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn compensations_run_in_reverse_and_a_failing_one_stops_no_other() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let call = trip(names(&["flight", "bad car", "train"]), "fail".to_owned());
    let run = db.client().start(call).await.unwrap();
    let error = run.result().await.unwrap_err();
    assert_eq!(undone(&log), ["undo train", "undo bad car", "undo flight"]);
    let failures: Vec<String> = error.compensation_failures().iter().map(|f| f.message.clone()).collect();
    assert_eq!(failures, ["bad car cannot be undone"]);
    let WorkflowError::Failed(failure) = error.into_end() else { panic!("it keeps its own error") };
    assert_eq!(failure.to_string(), "hotel refused");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn compensations_run_when_it_is_cancelled_and_after_a_restart() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).await;
    let run = db.client().start(trip(names(&["a", "b"]), "wait".to_owned())).await.unwrap();
    eventually("both steps ran", async || log.lines().len() == 2).await;
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).await;
    run.cancel("rain").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(undone(&log), ["undo b", "undo a"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_normal_return_forgets_them_and_compensate_does_it_by_hand() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let plain = db.client().start(trip(names(&["a"]), "return".to_owned())).await.unwrap();
    assert_eq!(plain.result().await.unwrap(), 0);
    assert!(undone(&log).is_empty());
    let by_hand = db.client().start(trip(names(&["a", "bad b"]), "by hand".to_owned())).await.unwrap();
    assert_eq!(by_hand.result().await.unwrap(), 1);
    assert_eq!(undone(&log), ["undo bad b", "undo a"]);
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn undoes_by_hand() -> Result<u32, Failure> {
    let mut saga = workflow::saga();
    for name in ["a", "b", "c"] {
        saga.on_failure(async move {
            workflow::sleep(std::time::Duration::from_millis(100)).await;
            Steps::undo(name.to_owned()).await
        });
    }
    Steps::note(1).await?;
    let failed = saga.compensate().await.err().map_or(0, |error| error.failures.len());
    Steps::note(2).await?;
    Ok(u32::try_from(failed)?)
}

/// Each compensation runs once, whether the run had come to it or not.
#[tokio::test]
async fn a_cancel_in_the_middle_of_compensating_by_hand() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("trips").workflow(undoes_by_hand).activities(Steps(log.clone()));
    let worker = worker.start().await.unwrap();
    let run = db.client().start(undoes_by_hand()).await.unwrap();
    eventually("the first is undone", async || undone(&log).len() == 1).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(undone(&log), ["undo c", "undo b", "undo a"]);
    assert_eq!(log.counts().get("note 2"), None, "what follows does not begin");
    worker.shutdown().await.unwrap();
}
