//! Time in the test environment, where it could stand still or run on without end: activities that await workflows,
//! retries, centuries, limits of zero.

use abide::prelude::*;
use abide::testing::{TestEnv, mock};
use std::time::Duration;

/// Talks to its own environment.
struct Nested(abide::Client);

#[workflow]
async fn waits_a_day(days_of_it: u64) -> u64 {
    workflow::sleep(days(days_of_it)).await;
    days_of_it
}

#[activity]
impl Nested {
    /// Starts a workflow and awaits it, beside another and something in real time.
    async fn both(&self, n: u64) -> Result<u64, Failure> {
        let (long, short) = (self.0.start(waits_a_day(n)).await?, self.0.start(waits_a_day(1)).await?);
        let (long, short) = tokio::join!(long.result(), short.result());
        tokio::time::sleep(Duration::from_millis(5)).await;
        let again = self.0.start(waits_a_day(2)).await?.result().await?;
        Ok(long? + short? + again)
    }
}

#[workflow]
async fn nests(n: u64) -> Result<u64, ActivityError<Failure>> {
    Nested::both(n).await
}

#[workflow]
async fn nests_with_a_limit(n: u64) -> Result<u64, ActivityError<Failure>> {
    Nested::both(n).start_to_close(days(10)).max_attempts(1).await
}

#[tokio::test]
async fn time_passes_for_an_activity_that_awaits_a_workflow() {
    let env = TestEnv::builder().start_at("2026-01-01T00:00:00Z".parse().unwrap()).start().await.unwrap();
    let worker = env.worker("nested").workflow(waits_a_day).workflow(nests).workflow(nests_with_a_limit);
    let worker = worker.activities(Nested(env.client())).start().await.unwrap();
    let begun = env.now();
    assert_eq!(env.client().start(nests(30)).await.unwrap().result().await.unwrap(), 33);
    assert_eq!(env.now().duration_since(begun).as_hours(), 32 * 24, "no more than it waited for");
    let limited = env.client().start(nests_with_a_limit(30)).await.unwrap().result().await;
    let Err(WorkflowError::Failed(ActivityError::TimedOut { kind, .. })) = limited else {
        panic!("{limited:?}")
    };
    assert_eq!(kind, TimeoutKind::StartToClose, "for its own limit as well");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn by_hand_time_passes_for_it_as_the_test_says() {
    let env = TestEnv::builder().manual_time().start().await.unwrap();
    let worker = env.worker("nested").workflow(waits_a_day).workflow(nests);
    let worker = worker.activities(Nested(env.client())).start().await.unwrap();
    let run = env.client().start(nests(3)).await.unwrap();
    env.sleep(days(1)).await;
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running);
    while run.describe().await.unwrap().status == ExecutionStatus::Running {
        env.sleep(days(1)).await;
    }
    assert_eq!(run.result().await.unwrap(), 6);
    worker.shutdown().await.unwrap();
}

#[activity]
async fn ask_the_oracle(question: u64) -> Result<u64, Failure> {
    Err(Failure::new(format!("nobody answers question {question}")))
}

#[activity(start_to_close = "1m")]
async fn takes_long() -> u64 {
    1
}

#[workflow]
async fn asks(limited: bool) -> Result<u64, Failure> {
    if limited {
        return Ok(takes_long().await?);
    }
    Ok(ask_the_oracle(42).await?)
}

#[tokio::test]
async fn a_retry_without_end_is_told() {
    let env = TestEnv::builder().attempt_limit(100).start().await.unwrap();
    let slow = mock(takes_long, || 1).delay(mins(2));
    let worker =
        env.worker("endless").workflow(asks).activity(ask_the_oracle).mock(&slow).start().await.unwrap();
    let run = env.client().start(asks(false)).id("oracle").await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(
        error.starts_with("AB0431: activity `ask_the_oracle` of workflow `oracle` has failed 100 times"),
        "{error}"
    );
    assert!(error.contains("nobody answers question 42"), "{error}");
    // The next attempt, and no more.
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("has failed 101 times"), "{error}");
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));

    let run = env.client().start(asks(true)).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("AB0431: activity `takes_long`") && error.contains("a time limit"), "{error}");
    assert!(slow.call_count() >= 100);
    run.terminate("enough").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn asks_about(question: u64) -> Result<u64, Failure> {
    Ok(ask_the_oracle(question).await?)
}

/// Of calls of one activity that fail side by side, each has its own last failure.
#[tokio::test]
async fn a_retry_without_end_is_told_with_its_own_failure() {
    let env = TestEnv::builder().attempt_limit(20).start().await.unwrap();
    let worker = env.worker("endless").workflow(asks_about).activity(ask_the_oracle).start().await.unwrap();
    let (one, two) = (asks_about(1), asks_about(2));
    let one = env.client().start(one).id("oracle-1").await.unwrap();
    let two = env.client().start(two).id("oracle-2").await.unwrap();
    for _ in 0..6 {
        let error = one.result().await.unwrap_err().to_string();
        let of = |id: u64| {
            error.contains(&format!("of workflow `oracle-{id}`"))
                && error.contains(&format!("nobody answers question {id}"))
        };
        assert!(error.starts_with("AB0431") && (of(1) || of(2)), "{error}");
    }
    one.terminate("enough").await.unwrap();
    two.terminate("enough").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sleep_among_retries_without_end_panics() {
    let env = TestEnv::builder().attempt_limit(20).start().await.unwrap();
    let worker = env.worker("endless").workflow(asks).activity(ask_the_oracle).start().await.unwrap();
    let run = env.client().start(asks(false)).await.unwrap();
    env.sleep(mins(5)).await;
    let asleep = std::panic::AssertUnwindSafe(env.sleep(days(1)));
    let panic = futures::FutureExt::catch_unwind(asleep).await.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("AB0431") && text.contains("has failed 20 times"), "{text}");
    run.terminate("enough").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn sleeps(years: u64) -> u64 {
    workflow::sleep(days(365).saturating_mul(u32::try_from(years).unwrap())).await;
    years
}

#[workflow]
async fn sleeps_for_ever() {
    workflow::sleep(Duration::MAX).await;
}

#[tokio::test]
async fn centuries_pass_and_a_far_timer_is_shown_as_what_it_is() {
    let env = TestEnv::builder().start_at("2026-01-01T00:00:00Z".parse().unwrap()).start().await.unwrap();
    let worker = env.worker("far").workflow(sleeps).workflow(sleeps_for_ever).start().await.unwrap();
    for years in [100, 500] {
        assert_eq!(env.client().start(sleeps(years)).await.unwrap().result().await.unwrap(), years);
    }
    assert!(env.now() > "2625-01-01T00:00:00Z".parse().unwrap());

    let for_ever = env.client().start(sleeps_for_ever()).await.unwrap();
    env.sleep(days(1)).await;
    let timers = for_ever.describe().await.unwrap().pending_timers;
    assert_eq!(timers.len(), 1);
    assert!(timers[0].due_at > "9999-12-30T00:00:00Z".parse().unwrap(), "{}", timers[0].due_at);
    let Err(WorkflowError::Client(error)) = for_ever.result().await else { panic!("it never ends") };
    assert_eq!(error.code(), "AB0419");
    worker.shutdown().await.unwrap();
}

#[activity]
async fn quick() -> u64 {
    1
}

#[workflow]
async fn limits(which: u64, limit: Duration) -> Result<u64, CallError> {
    let call = quick();
    match which {
        0 => call.start_to_close(limit),
        1 => call.schedule_to_close(limit),
        _ => call.schedule_to_start(limit),
    }
    .await
}

#[tokio::test]
async fn a_time_limit_of_zero_is_refused() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("limits").workflow(limits).activity(quick).start().await.unwrap();
    let names = ["start_to_close", "schedule_to_close", "schedule_to_start"];
    for (which, name) in (0..).zip(names) {
        let run = env.client().start(limits(which, Duration::ZERO)).await.unwrap();
        let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else {
            panic!("{name}")
        };
        assert!(text.starts_with("AB0430: activity `quick`") && text.contains(name), "{text}");
        let run = env.client().start(limits(which, secs(5))).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
    }
    worker.shutdown().await.unwrap();
}

/// In the test environment the silence passes at once, of a mock as of a body.
#[tokio::test]
async fn a_test_environment_skips_the_silence() {
    let env = TestEnv::start().await.unwrap();
    let long = mock(says_nothing, || 1).delay(days(2));
    let worker = env.worker("flows").workflow(listens).mock(&long).start().await.unwrap();
    let begun = env.now();
    let run = env.client().start(listens()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = run.result().await else { panic!() };
    assert_eq!(kind, TimeoutKind::Heartbeat);
    long.assert_called(2);
    assert_eq!(env.now().duration_since(begun).as_hours(), 48, "two attempts of a day, and no more");
    worker.shutdown().await.unwrap();

    // A mock tells and is told as a body is.
    let counts = mock(says_nothing, || {
        let context = abide::activity::context();
        let from = context.last_heartbeat::<u32>().unwrap_or(0);
        let _ = context.heartbeat(&(from + 2));
        if from == 0 { panic!("again") } else { from }
    });
    let worker = env.worker("flows").workflow(listens).mock(&counts).start().await.unwrap();
    assert_eq!(env.client().start(listens()).await.unwrap().result().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}

#[activity(heartbeat_timeout = "1d", retry(max_attempts = 2, initial_interval = "1ms"))]
async fn says_nothing() -> u32 {
    unreachable!("it is mocked")
}

#[workflow]
async fn listens() -> Result<u32, CallError> {
    says_nothing().await
}
