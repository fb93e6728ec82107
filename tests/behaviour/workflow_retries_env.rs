//! Workflow retries in the test environment: the waits of hours pass at once, and no more than was waited for.

use abide::prelude::*;
use abide::testing::TestEnv;
use abide::{ExecutionStatus, ListFilter};
use std::time::Duration;

/// Attempt `good` is the first that succeeds.
#[workflow(retry(initial_interval = "1h"))]
async fn flaky(good: u32) -> Result<u32, Failure> {
    let attempt = workflow::info().attempt;
    workflow::sleep(mins(1)).await;
    if attempt < good { Err(Failure::new(format!("attempt {attempt}"))) } else { Ok(attempt) }
}

/// Sleeps for an hour less in each attempt.
#[workflow(run_timeout = "2h", retry(initial_interval = "1h"))]
async fn slow(long: u64) -> Result<u32, Failure> {
    let attempt = workflow::info().attempt;
    workflow::sleep(hours(long - u64::from(attempt))).await;
    Ok(attempt)
}

#[workflow]
async fn parent() -> Result<u32, Failure> {
    let quick = flaky(3).start().await?;
    Ok(quick.result().await? * 10 + slow(3).await?)
}

async fn env() -> (TestEnv, Worker) {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("retried").workflow(flaky).workflow(slow).workflow(parent).start().await.unwrap();
    (env, worker)
}

#[tokio::test]
async fn attempts_are_hours_apart() {
    let (env, worker) = env().await;
    let begun = env.now();
    let run = env.client().start(flaky(4)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 4);
    // Waits of 1 h, 2 h and 4 h, and a minute for each attempt.
    assert_eq!(env.now().duration_since(begun).as_mins(), 7 * 60 + 4);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_time_is_up_is_tried_again_an_hour_later() {
    let (env, worker) = env().await;
    let begun = env.now();
    let run = env.client().start(slow(4)).id("slow").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    // Two runs of 2 h, waits of 1 h and 2 h, and the last run of 1 h.
    assert_eq!(env.now().duration_since(begun).as_hours(), 2 + 1 + 2 + 2 + 1);
    let all = env.client().list(ListFilter::new()).await.unwrap().executions;
    let statuses: Vec<_> = all.iter().rev().map(|run| run.status).collect();
    use ExecutionStatus::{Completed, TimedOut};
    assert_eq!(statuses, [TimedOut, TimedOut, Completed]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_time_of_the_chain_bounds_all_attempts() {
    let (env, worker) = env().await;
    let begun = env.now();
    let policy = RetryPolicy { initial_interval: Duration::from_secs(3_600), ..RetryPolicy::default() };
    // The third attempt begins after 7 h, and its run ends with the time of the chain.
    let start = env.client().start(slow(99)).id("slow").retry(policy.clone());
    let run = start.execution_timeout(hours(7) + mins(30)).await.unwrap();
    let ended = run.result().await;
    assert!(matches!(ended, Err(WorkflowError::TimedOut { kind: TimeoutKind::Execution })), "{ended:?}");
    assert_eq!(env.now().duration_since(begun).as_mins(), 7 * 60 + 30);
    // The third would begin just when it is up: the second is the last, and its end the result.
    let start = env.client().start(slow(99)).id("shorter").retry(policy);
    let run = start.execution_timeout(hours(7)).await.unwrap();
    let ended = run.result().await;
    assert!(matches!(ended, Err(WorkflowError::TimedOut { kind: TimeoutKind::Run })), "{ended:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_parent_waits_for_the_last_attempts_of_its_children() {
    let (env, worker) = env().await;
    let run = env.client().start(parent()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 32);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_retry_without_end_is_told() {
    let env = TestEnv::builder().attempt_limit(20).start().await.unwrap();
    let worker = env.worker("retried").workflow(flaky).start().await.unwrap();
    let policy = RetryPolicy { max_interval: Some(Duration::from_secs(60)), ..RetryPolicy::default() };
    let run = env.client().start(flaky(22)).id("flaky").retry(policy).await.unwrap();
    let Err(WorkflowError::Client(error)) = run.result().await else { panic!("it does not end") };
    assert_eq!(error.code(), "AB0431");
    let told = "AB0431: workflow `flaky` has failed 20 times in this test and is tried again, the last time with: \
                attempt 20. Let it succeed, give it `max_attempts` or an `execution_timeout`, or allow more by \
                `TestEnv::builder().attempt_limit(..)`";
    assert_eq!(error.to_string(), told);
    // Each later wait makes one more attempt.
    assert!(matches!(run.result().await, Err(WorkflowError::Client(_))));
    assert_eq!(run.result().await.unwrap(), 22);
    worker.shutdown().await.unwrap();
}
