//! A time limit that ends an activity which had failed before says how: the last failure is its cause, typed
//! where it is typed.

use abide::history::{Event, FailureKind};
use abide::prelude::*;
use abide::testing::replay::{History, Replayer};
use abide::testing::{TestEnv, mock};
use abide::{TimeoutKind, WorkflowError};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum PayError {
    #[error("declined with code {0}")]
    Declined(u32),
}

/// Each is mocked.
async fn unmocked() -> Result<u32, PayError> {
    Err(PayError::Declined(0))
}

#[activity(schedule_to_close = "10s", retry(initial_interval = "1s", backoff_coefficient = 1.0))]
async fn all() -> Result<u32, PayError> {
    unmocked().await
}

#[activity(start_to_close = "2s", retry(initial_interval = "1s", max_attempts = 4))]
async fn each() -> Result<u32, PayError> {
    unmocked().await
}

#[activity(
    schedule_to_close = "10s",
    start_to_close = "3s",
    retry(initial_interval = "1s", backoff_coefficient = 1.0)
)]
async fn both() -> Result<u32, PayError> {
    unmocked().await
}

#[activity(schedule_to_start = "5s", retry(initial_interval = "1s"))]
async fn slot() -> Result<u32, PayError> {
    unmocked().await
}

#[activity]
async fn busy() -> u32 {
    0
}

#[activity(schedule_to_close = "5s")]
async fn plain() -> u32 {
    0
}

#[workflow]
async fn pays(kind: String) -> Result<u32, ActivityError<PayError>> {
    match kind.as_str() {
        "all" => all().await,
        "each" => each().await,
        "both" => both().await,
        _ => {
            let blocks = workflow::spawn(async move {
                workflow::sleep(Duration::from_millis(500)).await;
                busy().await
            });
            let paid = slot().await;
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

/// A second before an attempt's end, in which it is decided how the next one goes.
const BETWEEN: Duration = Duration::from_millis(500);

/// How a call of `kind` ends that is declined so many times and hangs then; and what its history and a replay
/// say of it.
async fn ends(kind: &str, declined: u32) -> Told {
    let env = TestEnv::start().await.unwrap();
    let declines = |_: ()| Err(PayError::Declined(7));
    let (all_, each_, both_) =
        (mock(all, move || declines(())), mock(each, move || declines(())), mock(both, move || declines(())));
    let (slot_, busy_) = (mock(slot, move || declines(())), mock(busy, || 1).delay(Duration::from_secs(60)));
    let hang = || {
        let _ = all_.clone().never_ends();
        let _ = each_.clone().never_ends();
        let _ = both_.clone().never_ends();
    };
    if declined == 0 {
        hang();
    }
    let worker = env.worker("pays").workflow(pays).mock(&all_).mock(&each_).mock(&both_).mock(&slot_);
    let worker = worker.mock(&busy_).max_concurrent_activities(1).start().await.unwrap();
    let run = env.client().start(pays(kind.to_owned())).await.unwrap();
    // They begin a second after each other.
    env.sleep(BETWEEN + Duration::from_secs(u64::from(declined.saturating_sub(1)))).await;
    hang();
    let Err(WorkflowError::Failed(error)) = run.result().await else { panic!("{kind}: it cannot end well") };
    let ActivityError::TimedOut { cause, .. } = &error else { panic!("{error:?}") };
    assert_eq!(error.source().map(ToString::to_string), cause.as_ref().map(ToString::to_string));
    assert!(error.source().is_none_or(|source| source.downcast_ref::<Told>() == cause.as_deref()));
    let history = run.history().await.unwrap();
    let recorded = history.iter().flat_map(|row| &row.events).find_map(|event| match event {
        Event::ActivityFailed { failure, .. } => Some(failure.clone()),
        _ => None,
    });
    let recorded = recorded.unwrap().cause.map(|cause| cause.kind);
    let application = matches!(cause.as_deref(), Some(ActivityError::Failed(_)));
    assert_eq!(recorded == Some(FailureKind::Application), application, "{recorded:?}");
    Replayer::new().workflow(pays).replay(&History::of(&run).await.unwrap()).assert_ok();
    worker.shutdown().await.unwrap();
    error
}

#[tokio::test]
async fn the_last_failure_is_the_cause_of_every_time_limit() {
    use TimeoutKind::{ScheduleToClose, ScheduleToStart, StartToClose};
    let declined = || Some(ActivityError::Failed(PayError::Declined(7)));
    assert_eq!(ends("all", 2).await, timed_out(ScheduleToClose, declined()));
    assert_eq!(ends("all", 0).await, timed_out(ScheduleToClose, None));
    // The later attempts ran out of time as well, which says less than the error of the first.
    assert_eq!(ends("each", 1).await, timed_out(StartToClose, declined()));
    assert_eq!(ends("each", 0).await, timed_out(StartToClose, None));
    assert_eq!(ends("both", 1).await, timed_out(ScheduleToClose, declined()));
    let each = timed_out(StartToClose, None);
    assert_eq!(ends("both", 0).await, timed_out(ScheduleToClose, Some(each)));
    assert_eq!(ends("slot", 1).await, timed_out(ScheduleToStart, declined()));
}

#[tokio::test]
async fn a_plain_activity_tells_its_panic() {
    let env = TestEnv::start().await.unwrap();
    let panics = mock(plain, || -> u32 { panic!("no such account") });
    let worker = env.worker("pays").workflow(pays_plainly).mock(&panics).start().await.unwrap();
    let run = env.client().start(pays_plainly()).await.unwrap();
    env.sleep(BETWEEN).await;
    let _ = panics.never_ends();
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
