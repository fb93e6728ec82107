//! A time limit that ends an activity which had failed before says how: the last failure is its cause, typed where it is typed.

use abide::history::{Event, FailureKind};
use abide::prelude::*;
use abide::testing::TestEnv;
use abide::testing::replay::{History, Replayer};
use abide::{TimeoutKind, WorkflowError};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum PayError {
    #[error("declined in attempt {0}")]
    Declined(u32),
}

/// Declines so many times, and then hangs.
async fn declines(times: u32) -> Result<u32, PayError> {
    let attempt = abide::activity::context().attempt();
    if attempt <= times {
        return Err(PayError::Declined(attempt));
    }
    std::future::pending().await
}

#[activity(schedule_to_close = "10s", retry(initial_interval = "1s", backoff_coefficient = 1.0))]
async fn all(times: u32) -> Result<u32, PayError> {
    declines(times).await
}

#[activity(start_to_close = "2s", retry(initial_interval = "1s", max_attempts = 4))]
async fn each(times: u32) -> Result<u32, PayError> {
    declines(times).await
}

#[activity(
    schedule_to_close = "10s",
    start_to_close = "3s",
    retry(initial_interval = "1s", backoff_coefficient = 1.0)
)]
async fn both(times: u32) -> Result<u32, PayError> {
    declines(times).await
}

#[activity(schedule_to_start = "5s", retry(initial_interval = "1s"))]
async fn slot(times: u32) -> Result<u32, PayError> {
    declines(times).await
}

#[activity]
async fn busy(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

#[activity(schedule_to_close = "5s")]
async fn plain() -> u32 {
    match abide::activity::context().attempt() {
        1 => panic!("no such account"),
        _ => std::future::pending().await,
    }
}

#[workflow]
async fn pays(kind: String, times: u32) -> Result<u32, ActivityError<PayError>> {
    match kind.as_str() {
        "all" => all(times).await,
        "each" => each(times).await,
        "both" => both(times).await,
        _ => {
            let blocks = workflow::spawn(async move {
                workflow::sleep(Duration::from_millis(500)).await;
                let _ = busy(60_000).await;
            });
            let paid = slot(times).await;
            let _ = blocks.await;
            paid
        }
    }
}

#[workflow]
async fn pays_plainly() -> Result<u32, CallError> {
    plain().await
}

type Told = ActivityError<PayError>;

fn timed_out(kind: TimeoutKind, cause: Option<Told>) -> Told {
    ActivityError::TimedOut { kind, cause: cause.map(Box::new) }
}

#[tokio::test]
async fn the_last_failure_is_the_cause_of_every_time_limit() {
    use TimeoutKind::{ScheduleToClose, ScheduleToStart, StartToClose};
    let declined = |n| Some(ActivityError::Failed(PayError::Declined(n)));
    for (kind, times, expected) in [
        ("all", 2, timed_out(ScheduleToClose, declined(2))),
        ("all", 0, timed_out(ScheduleToClose, None)),
        // Its later attempts ran out of time as well, which says less than the error of the first.
        ("each", 1, timed_out(StartToClose, declined(1))),
        ("each", 0, timed_out(StartToClose, None)),
        ("both", 1, timed_out(ScheduleToClose, declined(1))),
        ("both", 0, timed_out(ScheduleToClose, Some(timed_out(StartToClose, None)))),
        ("slot", 1, timed_out(ScheduleToStart, declined(1))),
    ] {
        let env = TestEnv::start().await.unwrap();
        let worker = env.worker("pays").workflow(pays).activity(all).activity(each).activity(both);
        let worker = worker.activity(slot).activity(busy).max_concurrent_activities(1).start().await.unwrap();
        let run = env.client().start(pays(kind.to_owned(), times)).await.unwrap();
        let Err(WorkflowError::Failed(error)) = run.result().await else {
            panic!("{kind}: it cannot end well")
        };
        assert_eq!(error, expected, "{kind} {times}");
        let ActivityError::TimedOut { cause, .. } = &error else { panic!("{error:?}") };
        let source = error.source().map(ToString::to_string);
        assert_eq!(source, cause.as_ref().map(ToString::to_string));
        assert!(error.source().is_none_or(|source| source.downcast_ref::<Told>() == cause.as_deref()));
        // It is in the history, and a replay tells the same.
        let history = run.history().await.unwrap();
        let recorded = history.iter().flat_map(|row| &row.events).find_map(|event| match event {
            Event::ActivityFailed { failure, .. } => Some(failure.clone()),
            _ => None,
        });
        let recorded = recorded.unwrap();
        let of_kind = recorded.cause.as_ref().map(|cause| cause.kind);
        let application = matches!(cause.as_deref(), Some(ActivityError::Failed(_)));
        assert_eq!(of_kind == Some(FailureKind::Application), application, "{recorded:?}");
        Replayer::new().workflow(pays).replay(&History::of(&run).await.unwrap()).assert_ok();
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_plain_activity_tells_its_panic() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("pays").workflow(pays_plainly).activity(plain).start().await.unwrap();
    let run = env.client().start(pays_plainly()).await.unwrap();
    let Err(WorkflowError::Failed(error)) = run.result().await else { panic!("it cannot end well") };
    let CallError::TimedOut { kind: TimeoutKind::ScheduleToClose, cause: Some(cause) } = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(&**cause, CallError::Panicked(text) if text.contains("no such account")), "{cause:?}");
    assert!(error.source().unwrap().downcast_ref::<CallError>().is_some());
    worker.shutdown().await.unwrap();
}

#[activity(retry(max_attempts = 2))]
async fn hasty() -> Result<u32, PayError> {
    Err(PayError::Declined(abide::activity::context().attempt()))
}

/// How long a policy waits, and what it is told where that is too short.
#[workflow]
async fn hurries(interval_ns: u64, attempts: u32) -> Result<u32, ActivityError<PayError>> {
    let initial_interval = Duration::from_nanos(interval_ns);
    let policy = RetryPolicy { initial_interval, max_attempts: attempts, ..RetryPolicy::default() };
    hasty().retry(policy).await
}

#[tokio::test]
async fn a_policy_without_a_wait_is_refused_at_the_call() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("pays").workflow(hurries).activity(hasty).start().await.unwrap();
    for interval_ns in [0, 1, 999_999] {
        let run = env.client().start(hurries(interval_ns, 3)).await.unwrap();
        let Err(WorkflowError::Failed(ActivityError::Invalid(text))) = run.result().await else {
            panic!("no")
        };
        assert!(text.starts_with("AB0432: ") && text.contains("`hasty`"), "{text}");
        assert_eq!(run.describe().await.unwrap().history_length, 2, "nothing was scheduled");
    }
    for (interval_ns, attempts) in [(0, 1), (1_000_000, 3)] {
        let run = env.client().start(hurries(interval_ns, attempts)).await.unwrap();
        let Err(WorkflowError::Failed(error)) = run.result().await else { panic!("no") };
        assert_eq!(error, ActivityError::Failed(PayError::Declined(attempts)));
    }
    worker.shutdown().await.unwrap();
}
