//! Retries leave the history as it is: the last failed attempt is kept beside it, durably, and told by `describe()`.

use super::support::{Db, Log, eventually};
use abide::ExecutionStatus;
use abide::history::{Event, FailureKind};
use abide::prelude::*;
use abide::testing::TestEnv;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A service that is down until it is not.
#[derive(Clone, Default)]
struct Service {
    up: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
}

#[activity]
impl Service {
    #[activity(retry(initial_interval = "1h", max_interval = "1d"))]
    async fn ask(&self, n: u32) -> Result<u32, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.up.load(Ordering::Relaxed) {
            true => Ok(n),
            false => Err(Failure::new(format!("no answer for {n}"))),
        }
    }
}

#[workflow]
async fn asks(calls: u32) -> Result<u32, Failure> {
    let answers = (0..calls).map(Service::ask);
    let answers = futures::future::try_join_all(answers).await?;
    Ok(answers.into_iter().sum())
}

/// A thousand calls wait for a month: the history is that of a thousand calls.
#[tokio::test]
async fn a_service_that_is_down_for_a_month_costs_the_history_nothing() {
    const CALLS: u32 = 1_000;
    let env = TestEnv::start().await.unwrap();
    let service = Service::default();
    let worker = env.worker("waits").workflow(asks).activities(service.clone()).start().await.unwrap();
    let run = env.client().start(asks(CALLS)).await.unwrap();
    env.sleep(Duration::from_secs(30 * 24 * 3_600)).await;
    let waiting = run.describe().await.unwrap();
    assert_eq!((waiting.status, waiting.history_length), (ExecutionStatus::Running, 1 + u64::from(CALLS)));
    assert!(service.asked.load(Ordering::Relaxed) > 30 * CALLS, "they were tried again and again");
    let first = &waiting.pending_activities[0];
    assert!(first.attempt > 30 && first.next_attempt_at.is_some(), "{first:?}");
    assert_eq!(first.last_failure.as_ref().unwrap().message, "no answer for 0");
    service.up.store(true, Ordering::Relaxed);
    assert_eq!(run.result().await.unwrap(), (0..CALLS).sum::<u32>());
    let history = run.history().await.unwrap();
    let events: Vec<&Event> = history.iter().flat_map(|row| &row.events).collect();
    assert_eq!(events.len(), 2 + 2 * CALLS as usize);
    worker.shutdown().await.unwrap();
}

/// Fails until its third attempt, with a long wait before it.
struct Flaky(Log);

#[activity]
impl Flaky {
    #[activity(retry(initial_interval = "5ms", max_attempts = 3), retry_after = Flaky::wait)]
    async fn third(&self) -> Result<u32, Failure> {
        let attempt = abide::activity::context().attempt();
        self.0.add(format!("attempt {attempt}"));
        match attempt {
            3 => Ok(attempt),
            _ => Err(Failure::new(format!("attempt {attempt} failed"))),
        }
    }
}

impl Flaky {
    fn wait(error: &Failure) -> Option<Duration> {
        error.to_string().contains("attempt 2").then_some(Duration::from_secs(2))
    }
}

#[workflow]
async fn third() -> Result<u32, Failure> {
    Flaky::third().await.map_err(|error| Failure::new(error.to_string()))
}

/// The next owner knows the failed attempts: none is repeated, none is left out, and no row of them is left at
/// the end.
#[tokio::test]
async fn failed_attempts_outlive_the_worker_that_made_them() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = || db.abide.worker("flaky").workflow(third).activities(Flaky(log.clone())).start();
    let first = worker().await.unwrap();
    let run = db.client().start(third()).await.unwrap();
    eventually("two have failed", async || {
        run.describe().await.unwrap().pending_activities.iter().any(|activity| activity.attempt == 3)
    })
    .await;
    first.shutdown().await.unwrap();
    let described = run.describe().await.unwrap();
    let [waiting] = &described.pending_activities[..] else { panic!("{described:?}") };
    let failure = waiting.last_failure.as_ref().unwrap();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Application, "attempt 2 failed"));
    assert!(waiting.next_attempt_at.is_some());
    assert_eq!(described.history_length, 2, "{described:?}");
    let second = worker().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(log.lines(), ["attempt 1", "attempt 2", "attempt 3"]);
    assert_eq!(run.history().await.unwrap().iter().map(|row| row.events.len()).sum::<usize>(), 4);
    assert_eq!(run.describe().await.unwrap().pending_activities, []);
    second.shutdown().await.unwrap();
}
