//! Time limits and delayed starts in the test environment: months pass at once, and no more than was waited for.

use abide::prelude::*;
use abide::testing::TestEnv;

#[workflow]
async fn sleeps(long: u64) -> u64 {
    workflow::sleep(days(long)).await;
    long
}

#[tokio::test]
async fn a_limit_of_a_month_ends_a_run_at_once() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("limits").workflow(sleeps).start().await.unwrap();
    let begun = env.now();
    let run = env.client().start(sleeps(90)).run_timeout(days(30)).await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::TimedOut { kind: TimeoutKind::Run })));
    assert_eq!(env.now().duration_since(begun).as_hours(), 30 * 24);
    let run = env.client().start(sleeps(3)).run_timeout(days(30)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3, "in time");
    assert_eq!(env.now().duration_since(begun).as_hours(), 33 * 24);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_delayed_start_begins_when_its_time_has_come() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("limits").workflow(sleeps).start().await.unwrap();
    let begun = env.now();
    let run = env.client().start(sleeps(1)).delay(days(7)).run_timeout(days(2)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    assert_eq!(env.now().duration_since(begun).as_hours(), 8 * 24);
    worker.shutdown().await.unwrap();
}
