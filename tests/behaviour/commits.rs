//! How many commits things cost (PROTOCOL 3): counted, never timed.

use super::support::{Db, Log, Steps};
use abide::prelude::*;

#[workflow]
async fn empty() -> u32 {
    7
}

#[workflow]
async fn ten_steps() -> Result<u32, Failure> {
    let mut sum = 0;
    for n in 0..10 {
        sum += Steps::note(n).await?;
    }
    Ok(sum)
}

#[workflow]
async fn fan_out() -> Result<usize, Failure> {
    let all = futures::future::join_all((0..100).map(Steps::note)).await;
    Ok(all.into_iter().collect::<Result<Vec<_>, _>>()?.len())
}

#[derive(Default)]
struct Mailbox {
    letters: u32,
}

#[workflow]
impl Mailbox {
    #[run]
    async fn run(&mut self, wanted: u32) -> u32 {
        workflow::until!(self.letters >= wanted).await;
        self.letters
    }

    #[signal]
    fn letter(&mut self) {
        self.letters += 1;
    }
}

/// The commits that hold appends since `before`.
fn batches(db: &Db, before: abide::Metrics) -> u64 {
    db.abide.metrics().batches - before.batches
}

async fn worker(db: &Db) -> abide::Worker {
    let builder = db.abide.worker("commits").workflow(empty).workflow(ten_steps).workflow(fan_out);
    builder.workflow(Mailbox::run).activities(Steps(Log::default())).start().await.unwrap()
}

#[tokio::test]
async fn an_empty_workflow_is_one_commit() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let before = db.abide.metrics();
    let run = db.client().start(empty()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    assert_eq!(batches(&db, before), 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn ten_sequential_steps_are_eleven_commits() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let before = db.abide.metrics();
    let run = db.client().start(ten_steps()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 45);
    assert_eq!(batches(&db, before), 11);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_signal_is_one_commit() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Mailbox::run(3)).await.unwrap();
    let before = db.abide.metrics();
    run.letter().await.unwrap();
    assert_eq!(batches(&db, before), 1);
    run.letter().await.unwrap();
    assert_eq!(batches(&db, before), 2);
    run.letter().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(batches(&db, before), 3, "the last one carries the close");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_end_by_a_time_limit_is_one_commit() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Mailbox::run(3)).run_timeout(millis(300)).await.unwrap();
    let before = db.abide.metrics();
    assert!(matches!(run.result().await, Err(WorkflowError::TimedOut { kind: TimeoutKind::Run })));
    assert_eq!(batches(&db, before), 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_joined_fan_out_is_far_fewer_commits_than_steps() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let before = db.abide.metrics();
    let run = db.client().start(fan_out()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 100);
    assert!(batches(&db, before) <= 50, "{} commits for a fan-out of 100", batches(&db, before));
    worker.shutdown().await.unwrap();
}
