//! Retries: the default policy, limits, what is not retried, who says when; and errors that arrive as themselves.

use super::support::{Db, Log, eventually};
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum PayError {
    #[error("card {0} was declined")]
    Declined(String),
    #[error("the bank is busy, try in {wait_ms} ms")]
    Busy { wait_ms: u64 },
}

impl PayError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    fn wait(&self) -> Option<Duration> {
        match self {
            Self::Busy { wait_ms } => Some(Duration::from_millis(*wait_ms)),
            Self::Declined(_) => None,
        }
    }
}

struct Bank(Log);

impl Bank {
    /// Notes the attempt, and everything in the context that must not depend on it.
    fn seen(&self, what: &str) -> u32 {
        let context = abide::activity::context();
        self.0.add(format!("{what} {}", context.attempt()));
        context.attempt()
    }
}

#[activity]
impl Bank {
    #[activity(retry(initial_interval = "5ms", backoff_coefficient = 1.0, max_attempts = 3))]
    async fn flaky(&self, good: u32) -> Result<u32, PayError> {
        match self.seen("flaky") {
            attempt if attempt >= good => Ok(attempt),
            _ => Err(PayError::Busy { wait_ms: 7 }),
        }
    }

    #[activity(retry(initial_interval = "5ms"), retry_if = PayError::is_transient)]
    async fn picky(&self, decline_at: u32) -> Result<u32, PayError> {
        match self.seen("picky") {
            attempt if attempt >= decline_at => Err(PayError::Declined("4711".to_owned())),
            _ => Err(PayError::Busy { wait_ms: 7 }),
        }
    }

    #[activity(retry(initial_interval = "1h", max_attempts = 4), retry_after = PayError::wait)]
    async fn told_when(&self) -> Result<u32, PayError> {
        self.seen("told");
        Err(PayError::Busy { wait_ms: 5 })
    }

    #[activity(retry(initial_interval = "5ms"))]
    async fn gives_up(&self) -> Result<u32, Failure> {
        match self.seen("gives up") {
            1 => Err("x".parse::<u32>().unwrap_err().into()),
            _ => Err(Failure::new("no use").non_retryable()),
        }
    }

    #[activity(retry(initial_interval = "1h", max_attempts = 2))]
    async fn own_delay(&self) -> Result<u32, Failure> {
        let attempt = self.seen("own delay");
        Err(Failure::new(format!("attempt {attempt}")).retry_after(Duration::from_millis(5)))
    }

    #[activity(start_to_close = "60s", retry(initial_interval = "5ms", max_attempts = 3))]
    async fn looks(&self) -> Result<String, Failure> {
        let context = abide::activity::context();
        let left = context.time_left().expect("it has a limit");
        let line = format!(
            "{} {} {} {} {}",
            context.idempotency_key(),
            context.workflow_id(),
            context.workflow_type(),
            context.activity_type(),
            left > Duration::from_secs(30) && left <= Duration::from_secs(60)
        );
        self.0.add(line.clone());
        if context.attempt() == 3 { Ok(line) } else { Err(Failure::new("again")) }
    }
}

#[workflow]
async fn flaky(good: u32) -> Result<u32, ActivityError<PayError>> {
    Bank::flaky(good).await
}

#[workflow]
async fn picky(decline_at: u32) -> Result<u32, ActivityError<PayError>> {
    Bank::picky(decline_at).await
}

#[workflow]
async fn told_when() -> Result<u32, ActivityError<PayError>> {
    Bank::told_when().await
}

#[workflow]
async fn gives_up() -> Result<u32, ActivityError<Failure>> {
    Bank::gives_up().await
}

#[workflow]
async fn own_delay() -> Result<u32, ActivityError<Failure>> {
    Bank::own_delay().await
}

#[workflow]
async fn looks() -> Result<String, Failure> {
    Ok(Bank::looks().await?)
}

/// What it saw of an error, as text.
#[derive(Default)]
struct Witness {
    texts: Vec<String>,
    done: bool,
}

#[workflow]
impl Witness {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let error = Bank::picky(1).await.unwrap_err();
        self.texts.push(format!("{error} / {error:?}"));
        let error = Bank::gives_up().await.unwrap_err();
        self.texts.push(format!("{error} / {error:?}"));
        let error: Failure = Bank::own_delay().await.unwrap_err().into();
        self.texts.push(format!("{error} / {error:?} / {:?}", error.chain().collect::<Vec<_>>()));
        workflow::until!(self.done).await;
        self.texts.clone()
    }

    #[signal]
    fn done(&mut self) {
        self.done = true;
    }

    #[query]
    fn texts(&self) -> Vec<String> {
        self.texts.clone()
    }
}

async fn worker(db: &Db, log: &Log) -> abide::Worker {
    let builder = db.abide.worker("retries").workflow(flaky).workflow(picky).workflow(told_when);
    let builder = builder.workflow(gives_up).workflow(own_delay).workflow(looks).workflow(Witness::run);
    builder.activities(Bank(log.clone())).start().await.unwrap()
}

#[test]
fn the_default_policy_is_temporals() {
    let policy = RetryPolicy::default();
    assert_eq!((policy.initial_interval, policy.max_attempts), (Duration::from_secs(1), 0));
    let waits: Vec<_> = (1..=9).map(|attempt| policy.delay_after(attempt).unwrap().as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 100, 100]);
    assert_eq!(policy.delay_after(u32::MAX), Some(Duration::from_secs(100)), "without end");
    let limited = RetryPolicy { max_attempts: 2, ..policy };
    assert_eq!((limited.delay_after(1).is_some(), limited.delay_after(2)), (true, None));
}

#[tokio::test]
async fn attempts_are_counted_and_limited() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let good = db.client().start(flaky(3)).await.unwrap();
    assert_eq!(good.result().await.unwrap(), 3);
    assert_eq!(log.lines(), ["flaky 1", "flaky 2", "flaky 3"]);
    let bad = db.client().start(flaky(4)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = bad.result().await else { panic!("no") };
    assert_eq!(error, PayError::Busy { wait_ms: 7 }, "the error arrives as itself");
    assert_eq!(log.lines().len(), 6);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_no_retry_can_mend_is_not_retried() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(picky(3)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = run.result().await else { panic!("no") };
    assert_eq!(error, PayError::Declined("4711".to_owned()));
    assert_eq!(log.lines(), ["picky 1", "picky 2", "picky 3"]);
    let run = db.client().start(gives_up()).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = run.result().await else { panic!("no") };
    assert_eq!((error.to_string().as_str(), error.is_retryable()), ("no use", false));
    assert_eq!(log.lines()[3..], ["gives up 1", "gives up 2"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_error_may_say_when() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    // Both policies would wait an hour.
    let run = db.client().start(told_when()).await.unwrap();
    assert!(matches!(
        run.result().await,
        Err(WorkflowError::Failed(ActivityError::Failed(PayError::Busy { .. })))
    ));
    assert_eq!(log.counts().len(), 4);
    let run = db.client().start(own_delay()).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = run.result().await else { panic!("no") };
    assert_eq!(error.to_string(), "attempt 2", "the last attempt's error");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_context_is_the_same_in_every_attempt() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(looks()).id("w").await.unwrap();
    let line = run.result().await.unwrap();
    let key = format!("{}/2", run.run_id().unwrap());
    assert_eq!(line, format!("{key} w looks Bank.looks true"));
    assert_eq!(log.lines(), [line.clone(), line.clone(), line]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_read_the_same_after_a_replay() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).await;
    let run = db.client().start(Witness::run()).await.unwrap();
    eventually("it has seen three", async || run.texts().await.unwrap().len() == 3).await;
    let live = run.texts().await.unwrap();
    assert!(live[0].starts_with("card 4711 was declined / "), "{live:?}");
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).await;
    run.done().await.unwrap();
    assert_eq!(run.result().await.unwrap(), live);
    second.shutdown().await.unwrap();
}
