//! Histories of a few workflows, as they lie in the journal: an event added, dropped or moved shows here. Times, ids
//! and seeds are left out.

use super::support::{Db, Log, Steps, eventually};
use abide::history::Event;
use abide::prelude::*;
use serde_json::Value;
use std::time::Duration;

/// One line for each event: its number and its JSON.
async fn history(run: &abide::UntypedHandle) -> String {
    let rows = run.history().await.unwrap();
    let mut lines = String::new();
    for row in rows {
        for (number, event) in (row.seq.0..).zip(&row.events) {
            lines.push_str(&format!("{number:>2} {}\n", line(event)));
        }
    }
    lines
}

fn line(event: &Event) -> String {
    let mut value = serde_json::to_value(event).unwrap();
    leave_out(&mut value);
    value.to_string()
}

/// What differs from run to run.
fn leave_out(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match name.as_str() {
                    "seed" | "request_id" | "fire_at_ms" | "next_at_ms" => *field = Value::from(".."),
                    _ => leave_out(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        _ => {}
    }
}

async fn worker(db: &Db) -> abide::Worker {
    let builder = db.abide.worker("histories").workflow(steps).workflow(Approval::run).workflow(flaky);
    let builder = builder.workflow(trip).workflow(shielded);
    builder.activity(third_time).activities(Steps(Log::default())).start().await.unwrap()
}

#[workflow]
async fn steps(names: Vec<String>) -> Result<String, Failure> {
    let first = Steps::note(1).await?;
    workflow::sleep(Duration::from_millis(5)).await;
    let flag = workflow::side_effect(|| "blue".to_owned()).await;
    let second = Steps::note(first + 1).await?;
    Ok(format!("{} {flag} {second}", names.join("+")))
}

#[tokio::test]
async fn steps_a_timer_and_a_side_effect() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(steps(vec!["a".to_owned(), "b".to_owned()])).await.unwrap();
    assert_eq!(run.result().await.unwrap(), "a+b blue 2");
    same_on_every_store(history(&run.untyped()).await);
    worker.shutdown().await.unwrap();
}

#[derive(Default)]
struct Approval {
    approved: Option<bool>,
}

#[workflow]
impl Approval {
    #[run]
    async fn run(&mut self, order: String) -> Result<bool, Failure> {
        if workflow::until!(self.approved.is_some()).timeout(days(3)).await.is_err() {
            return Ok(false);
        }
        workflow::select! {
            n = Steps::note(1) => { n?; }
            _ = Steps::endless(order) => {}
        }
        Ok(self.approved == Some(true))
    }

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }
}

#[tokio::test]
async fn a_signal_before_its_timeout_and_a_lost_branch() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Approval::run("o-1".to_owned())).await.unwrap();
    run.approve(true).await.unwrap();
    assert!(run.result().await.unwrap());
    same_on_every_store(history(&run.untyped()).await);
    worker.shutdown().await.unwrap();
}

#[activity(retry(initial_interval = "5ms", max_attempts = 3))]
async fn third_time(lucky: bool) -> Result<u32, Failure> {
    match abide::activity::context().attempt() {
        3 if lucky => Ok(3),
        attempt => Err(Failure::new(format!("attempt {attempt}"))),
    }
}

#[workflow]
async fn flaky() -> Result<u32, Failure> {
    let lucky = third_time(true).await?;
    Ok(lucky + third_time(false).await?)
}

#[tokio::test]
async fn retries_and_a_failure() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(flaky()).await.unwrap();
    assert!(
        matches!(run.result().await, Err(WorkflowError::Failed(failure)) if failure.to_string() == "attempt 3")
    );
    same_on_every_store(history(&run.untyped()).await);
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn trip() -> Result<u32, Failure> {
    let mut saga = workflow::saga();
    Steps::note(1).await?;
    saga.on_failure(Steps::undo("flight".to_owned()));
    Steps::note(2).await?;
    saga.on_failure(Steps::undo("bad car".to_owned()));
    Steps::refuse("hotel".to_owned()).await?;
    Ok(0)
}

#[tokio::test]
async fn a_saga_with_a_failing_compensation() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(trip()).await.unwrap();
    assert_eq!(run.result().await.unwrap_err().compensation_failures().len(), 1);
    same_on_every_store(history(&run.untyped()).await);
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn shielded() -> Result<(), Failure> {
    workflow::shielded(async {
        Steps::note(1).await?;
        Steps::endless("until cancelled".to_owned())
            .start_to_close(Duration::from_millis(300))
            .max_attempts(1)
            .await
            .ok();
        Steps::note(2).await
    })
    .await?;
    workflow::sleep(days(1)).await;
    Ok(())
}

#[tokio::test]
async fn a_cancellation_that_waits_for_a_shield() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(shielded()).await.unwrap();
    eventually("it is in the shield", async || run.history().await.unwrap().len() == 2).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    same_on_every_store(history(&run.untyped()).await);
    worker.shutdown().await.unwrap();
}

/// Compares with the snapshot of the test's name, the same for both programs that run it.
#[track_caller]
fn same_on_every_store(history: String) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default().rsplit("::").next().unwrap_or_default().to_owned();
    insta::with_settings!({ prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(test, history);
    });
}
