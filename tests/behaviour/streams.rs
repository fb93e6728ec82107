//! Streams out of a run: live, from an offset, of a closed run, from another process, published once or again.

use super::support::{Db, Log, eventually};
use abide::prelude::*;
use abide::{StreamItem, StreamOffset};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Publishes by the workflow, and waits for a signal in between.
#[derive(Default)]
struct Reports {
    go: u32,
}

#[workflow]
impl Reports {
    #[run]
    async fn run(&mut self, rounds: u32) -> Result<u32, Failure> {
        for round in 1..=rounds {
            workflow::publish("progress", &format!("round {round}"))?;
            workflow::until!(self.go >= round).await;
        }
        workflow::publish("progress", "done")?;
        workflow::publish("summary", &rounds)?;
        Ok(rounds)
    }

    #[signal]
    fn go(&mut self) {
        self.go += 1;
    }
}

/// Publishes from an activity, which fails once on request.
struct Model {
    failures: AtomicU32,
    log: Log,
}

#[activity]
impl Model {
    #[activity(retry(initial_interval = "10ms"))]
    async fn answer(&self, tokens: u32, pause_ms: u64) -> Result<u32, Failure> {
        let context = abide::activity::context();
        for n in 0..tokens {
            context.publish("tokens", &n).await?;
            if pause_ms > 0 {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
        self.log.add("answered");
        match self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => Err(Failure::new("once more")),
            Err(_) => Ok(tokens),
        }
    }

    #[activity(start_to_close = "300ms", retry(max_attempts = 1))]
    async fn hang(&self) {
        let context = abide::activity::context();
        context.publish("tokens", &1).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    async fn refuse(&self) -> Vec<String> {
        let context = abide::activity::context();
        let long = "x".repeat(2 * 1024 * 1024);
        let name = "n".repeat(101);
        let refused = [
            context.publish("", &1).await,
            context.publish(&name, &1).await,
            context.publish("a", &long).await,
        ];
        refused.into_iter().map(|refused| refused.unwrap_err().code().to_owned()).collect()
    }
}

#[activity(transactional)]
async fn booked(_tx: &mut crate::UserConnection) -> Result<String, Failure> {
    let refused = abide::activity::context().publish("a", &1).await;
    Ok(refused.err().map_or_else(String::new, |error| error.code().to_owned()))
}

#[workflow]
async fn chat(tokens: u32, pause_ms: u64) -> Result<u32, Failure> {
    Ok(Model::answer(tokens, pause_ms).await?)
}

#[workflow]
async fn hangs() -> bool {
    Model::hang().await.is_err()
}

#[workflow]
async fn refusals() -> Result<Vec<String>, Failure> {
    let mut codes = Model::refuse().await?;
    codes.push(booked().await?);
    let long = "x".repeat(2 * 1024 * 1024);
    for refused in [workflow::publish("", &1), workflow::publish("a", &long)] {
        codes.push(refused.err().map_or_else(String::new, |error| error.code().to_owned()));
    }
    Ok(codes)
}

async fn worker_with(abide: &Abide, failures: u32, log: &Log) -> Worker {
    let model = Model { failures: AtomicU32::new(failures), log: log.clone() };
    let worker =
        abide.worker("streams").workflow(Reports::run).workflow(chat).workflow(hangs).workflow(refusals);
    worker.activities(model).activity(booked).start().await.unwrap()
}

async fn worker(db: &Db) -> Worker {
    worker_with(&db.abide, 0, &Log::default()).await
}

/// All that a reader gets, with a limit on the time.
async fn all<T: serde::de::DeserializeOwned>(mut reader: abide::StreamReader<T>) -> Vec<StreamItem<T>> {
    let read = async {
        let mut all = Vec::new();
        while let Some(item) = reader.next().await {
            all.push(item.unwrap());
        }
        all
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the stream ends")
}

fn values<T: Clone>(items: &[StreamItem<T>]) -> Vec<T> {
    items.iter().map(|item| item.value.clone()).collect()
}

#[tokio::test]
async fn a_workflow_publishes_as_it_goes_on() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Reports::run(2)).id("reports").await.unwrap();
    let mut live = run.stream::<String>("progress");
    let mut next = async || live.next().await.unwrap().unwrap();
    assert_eq!(next().await.value, "round 1");
    run.go().await.unwrap();
    let second = next().await;
    assert_eq!((second.value.as_str(), second.offset.seq(), second.attempt), ("round 2", 2, None));
    run.go().await.unwrap();
    assert_eq!(next().await.value, "done");
    assert!(live.next().await.is_none(), "the run has closed");
    assert!(live.next().await.is_none());
    // Of a closed run: from the beginning, and from an offset.
    let handle = db.client().handle::<Reports>("reports");
    assert_eq!(values(&all(handle.stream::<String>("progress")).await), ["round 1", "round 2", "done"]);
    let offset: StreamOffset = second.offset.to_string().parse().unwrap();
    assert_eq!(values(&all(handle.stream::<String>("progress").after(offset)).await), ["done"]);
    assert_eq!(values(&all(handle.untyped().stream::<u32>("summary")).await), [2]);
    assert!(all(handle.stream::<u32>("nothing")).await.is_empty());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_replay_publishes_nothing_again() {
    let db = Db::new().await;
    let first = worker(&db).await;
    let run = db.client().start(Reports::run(2)).id("reports").await.unwrap();
    let mut reader = run.stream::<String>("progress");
    assert_eq!(reader.next().await.unwrap().unwrap().value, "round 1");
    first.shutdown().await.unwrap();
    let second = worker(&db).await;
    run.go().await.unwrap();
    run.go().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    let items = all(run.stream::<String>("progress")).await;
    assert_eq!(values(&items), ["round 1", "round 2", "done"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_activity_publishes_while_it_runs() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(chat(3, 400)).id("chat").await.unwrap();
    let mut reader = run.stream::<u32>("tokens");
    let first = reader.next().await.unwrap().unwrap();
    assert_eq!((first.value, first.attempt), (0, Some(1)));
    assert!(run.describe().await.unwrap().status.is_open(), "it is read before the activity ends");
    assert_eq!(values(&all(reader).await), [1, 2]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_repeated_attempt_publishes_again_and_says_so() {
    let db = Db::new().await;
    let worker = worker_with(&db.abide, 1, &Log::default()).await;
    let run = db.client().start(chat(2, 0)).id("chat").await.unwrap();
    let items = all(run.stream::<u32>("tokens")).await;
    assert_eq!(values(&items), [0, 1, 0, 1]);
    let attempts: Vec<_> = items.iter().map(|item| item.attempt).collect();
    assert_eq!(attempts, [Some(1), Some(1), Some(2), Some(2)]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_was_published_before_a_time_limit_is_there() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(hangs()).id("hangs").await.unwrap();
    assert!(run.result().await.unwrap());
    assert_eq!(values(&all(run.stream::<u32>("tokens")).await), [1]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn another_process_reads_live() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, reader) = (Db::open(&folder).await, Db::open(&folder).await);
    let worker = worker_with(&writer, 0, &Log::default()).await;
    let run = writer.client().start(chat(4, 300)).id("chat").await.unwrap();
    let elsewhere = reader.client().handle::<chat>("chat");
    let mut tokens = elsewhere.stream::<u32>("tokens");
    assert_eq!(tokens.next().await.unwrap().unwrap().value, 0);
    assert!(run.describe().await.unwrap().status.is_open(), "it is read before the activity ends");
    assert_eq!(values(&all(tokens).await), [1, 2, 3]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_where_to_go_on() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(chat(10_500, 0)).id("chat").await.unwrap();
    let mut reader = run.stream::<u32>("tokens");
    let first = reader.next().await.unwrap().unwrap();
    assert_eq!(run.result().await.unwrap(), 10_500);
    let mut late = run.stream::<u32>("tokens").after(first.offset);
    let error = late.next().await.unwrap().unwrap_err();
    assert_eq!(error.code(), "AB0450");
    let abide::Error::StreamBehind { after, .. } = error else { panic!("{error:?}") };
    assert_eq!(after.seq(), 500);
    let next = late.next().await.unwrap().unwrap();
    assert_eq!((next.offset.seq(), next.value), (501, 500));
    let again = run.stream::<u32>("tokens").after(after).next().await.unwrap().unwrap();
    assert_eq!(again, next);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_at_the_call() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(refusals()).id("refusals").await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["AB0412", "AB0412", "AB0405", "AB0442", "AB0412", "AB0405"]);
    let mut none = db.client().execution("missing").stream::<u32>("tokens");
    assert_eq!(none.next().await.unwrap().unwrap_err().code(), "AB0406");
    // An item of another type is an error, and the reader goes on.
    let reports = db.client().start(Reports::run(0)).id("reports").await.unwrap();
    let mut reader = reports.stream::<u32>("progress");
    assert_eq!(reader.next().await.unwrap().unwrap_err().code(), "AB0404");
    assert!(reader.next().await.is_none());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_thousand_items_are_a_few_commits() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let before = db.abide.metrics();
    let run = db.client().start(chat(1_000, 0)).id("chat").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1_000);
    let after = db.abide.metrics();
    assert_eq!(after.batches - before.batches, 2, "the start, and the activity's end");
    // The others: the items, and renewals of the lease.
    let others = (after.commits - before.commits) - 2;
    assert!(others <= 6, "{others} commits for 1,000 items");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn items_of_a_workflow_cost_no_commit() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let before = db.abide.metrics();
    let run = db.client().start(Reports::run(0)).id("reports").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 0);
    assert_eq!(db.abide.metrics().batches - before.batches, 1);
    assert_eq!(values(&all(run.stream::<String>("progress")).await), ["done"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lost_worker_publishes_again_elsewhere() {
    let db = Db::new().await;
    let log = Log::default();
    let first = worker_with(&db.abide, 0, &log).await;
    let run = db.client().start(chat(20, 100)).id("chat").await.unwrap();
    let mut reader = run.stream::<u32>("tokens");
    assert_eq!(reader.next().await.unwrap().unwrap().attempt, Some(1));
    drop(first);
    let second = worker_with(&db.abide, 0, &log).await;
    assert_eq!(run.result().await.unwrap(), 20);
    let items = all(run.stream::<u32>("tokens")).await;
    let last: Vec<_> = items.iter().filter(|item| item.attempt == items[items.len() - 1].attempt).collect();
    assert_eq!(last.iter().map(|item| item.value).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    let numbers: Vec<_> = items.iter().map(|item| item.offset.seq()).collect();
    assert_eq!(numbers, (1..=items.len() as u64).collect::<Vec<_>>(), "no gap");
    eventually("it ran", async || log.lines().contains(&"answered".to_owned())).await;
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_test_environment_has_streams() -> Result<(), Failure> {
    let env = abide::testing::TestEnv::start().await?;
    let model = Model { failures: AtomicU32::new(1), log: Log::default() };
    let worker =
        env.worker("streams").workflow(Reports::run).workflow(chat).activities(model).start().await?;
    let run = env.client().start(chat(3, 0)).id("chat").await?;
    assert_eq!(values(&all(run.stream::<u32>("tokens")).await), [0, 1, 2, 0, 1, 2]);
    let run = env.client().start(Reports::run(1)).id("reports").await?;
    let mut live = run.stream::<String>("progress");
    assert_eq!(live.next().await.unwrap()?.value, "round 1");
    run.go().await?;
    assert_eq!(live.next().await.unwrap()?.value, "done");
    assert!(live.next().await.is_none());
    worker.shutdown().await?;
    Ok(())
}
