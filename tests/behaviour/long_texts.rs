//! Texts of user code are bounded where they become durable: head and tail stay, and a replay has the same text.

use super::ends::{reason, says};
use super::support::Db;
use abide::ListFilter;
use abide::history::Event;
use abide::prelude::*;

const MIB: usize = 1 << 20;
/// A text of 8 KiB, and what stands around it in a row.
const ROW: usize = 16 * 1024;

fn long() -> String {
    format!("begin {} end", "x".repeat(10 * MIB))
}

#[workflow]
async fn panics_long() {
    panic!("{}", long())
}

#[activity(retry(max_attempts = 1))]
async fn panics_long_within() {
    panic!("{}", long())
}

#[activity(retry(max_attempts = 1))]
async fn fails_long() -> Result<(), Failure> {
    Err(Failure::new(long()))
}

#[derive(Default)]
struct Collects {
    open: bool,
}

#[workflow]
impl Collects {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        if let Err(error) = panics_long_within().await {
            texts.push(error.to_string());
        }
        if let Err(error) = fails_long().await {
            texts.push(error.to_string());
        }
        // Replayed in the test from here.
        workflow::until!(self.open).await;
        texts.push(workflow::cancelled().await);
        texts
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }
}

#[tokio::test]
async fn a_long_panic_is_cut_in_the_suspension_and_in_lists() {
    let db = Db::new().await;
    let worker = db.abide.worker("long").workflow(panics_long).start().await.unwrap();
    let run = db.client().start(panics_long()).task_queue("long").await.unwrap();
    let reason = reason(run.result().await);
    assert!(reason.message().len() < ROW, "{} bytes", reason.message().len());
    says(reason.message(), &["panicked: begin x", "bytes cut ..]", "x end", "deploy a fix"]);
    let page = db.client().list(ListFilter::new()).await.unwrap();
    assert!(page.executions[0].suspension.as_ref().is_some_and(|why| why.message().len() < ROW));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_and_reasons_are_cut_once_and_stay_so() {
    let db = Db::new().await;
    let worker = || {
        let worker = db.abide.worker("long").workflow(Collects::run);
        worker.activity(panics_long_within).activity(fails_long).cache_bytes(1).start()
    };
    let first = worker().await.unwrap();
    let run = db.client().start(Collects::run()).task_queue("long").await.unwrap();
    super::support::eventually("both have failed", async || {
        let events = run.history().await.unwrap().into_iter().flat_map(|row| row.events);
        events.filter(|event| matches!(event, Event::ActivityFailed { .. })).count() == 2
    })
    .await;
    first.shutdown().await.unwrap();
    let second = worker().await.unwrap();
    run.open().await.unwrap();
    run.cancel(long()).await.unwrap();
    let texts = run.result().await.unwrap();
    let mut recorded = Vec::new();
    for event in run.history().await.unwrap().into_iter().flat_map(|row| row.events) {
        match event {
            Event::ActivityFailed { failure, .. } => recorded.push(failure.message),
            Event::CancelRequested { reason, .. } => recorded.push(reason),
            _ => {}
        }
    }
    assert_eq!((texts.len(), recorded.len()), (3, 3));
    for (text, recorded) in texts.iter().zip(&recorded) {
        assert!(text.ends_with(recorded), "a replay has the recorded text");
        assert!(recorded.len() <= 8 * 1024 && recorded.starts_with("begin x") && recorded.ends_with("x end"));
    }
    second.shutdown().await.unwrap();
}
