//! Activities that are not mocked and await workflows where the test environment does not see them: on
//! threads, and in tasks of their own. Time passes, or a code says why not.

use abide::prelude::*;
use abide::testing::TestEnv;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// Talks to its own environment.
struct Nested(abide::Client);

#[workflow]
async fn waits_days(number: u64) -> u64 {
    workflow::sleep(days(number)).await;
    number
}

#[activity]
impl Nested {
    /// Awaits one, then two at once, of which the second is looked at again when it is there, and not before.
    #[activity]
    fn blocks(&self, n: u64) -> Result<u64, Failure> {
        let client = self.0.clone();
        Handle::current().block_on(async move {
            let mut sum = client.start(waits_days(n)).await?.result().await?;
            let mut runs = FuturesUnordered::new();
            for number in [1, n] {
                let run = client.start(waits_days(number)).await?;
                runs.push(async move { run.result().await });
            }
            while let Some(result) = runs.next().await {
                sum += result?;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(sum)
        })
    }

    /// A runtime of its own, with tasks on it.
    #[activity]
    fn begins_a_runtime(&self, n: u64) -> Result<u64, Failure> {
        let client = self.0.clone();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let run = client.start(waits_days(n)).await?;
            Ok(tokio::spawn(async move { run.result().await }).await??)
        })
    }

    /// The wait is in a task that the engine does not know to be the activity's own.
    #[activity(retry(max_attempts = 1))]
    async fn spawns(&self, n: u64) -> Result<u64, Failure> {
        let run = self.0.start(waits_days(n)).await?;
        Ok(tokio::spawn(async move { run.result().await }).await??)
    }
}

#[workflow]
async fn nests(which: u64, n: u64) -> Result<u64, ActivityError<Failure>> {
    match which {
        0 => Nested::blocks(n).await,
        1 => Nested::begins_a_runtime(n).await,
        _ => Nested::spawns(n).await,
    }
}

#[tokio::test]
async fn time_passes_for_a_blocking_activity_that_awaits_a_workflow() {
    let env = TestEnv::builder().start_at("2026-01-01T00:00:00Z".parse().unwrap()).start().await.unwrap();
    let worker = env.worker("nested").workflow(waits_days).workflow(nests);
    let worker = worker.activities(Nested(env.client())).start().await.unwrap();
    let begun = env.now();
    assert_eq!(env.client().start(nests(0, 30)).await.unwrap().result().await.unwrap(), 61);
    assert_eq!(env.now().duration_since(begun).as_hours(), 60 * 24, "no more than it waited for");
    assert_eq!(env.client().start(nests(1, 30)).await.unwrap().result().await.unwrap(), 30);
    assert_eq!(env.now().duration_since(begun).as_hours(), 90 * 24);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_wait_in_a_task_of_an_activity_is_told() {
    let env = TestEnv::builder().standstill_limit(Duration::from_millis(50)).start().await.unwrap();
    let worker = env.worker("nested").workflow(waits_days).workflow(nests);
    let worker = worker.activities(Nested(env.client())).start().await.unwrap();
    let run = env.client().start(nests(2, 30)).await.unwrap();
    // The wait is told, and the task's own wait in the activity as well: whichever comes first. The activity
    // fails with it, and time passes again.
    let error = loop {
        match run.result().await {
            Err(WorkflowError::Client(error)) => {
                assert_eq!(error.code(), "AB0433");
                assert!(error.to_string().contains("`Nested.spawns` has run in real time for"), "{error}");
            }
            Err(WorkflowError::Failed(error)) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(format!("{error:?}").contains("AB0433"), "{error:?}");
    env.sleep(days(31)).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_sleep_in_a_standstill_panics() {
    let env =
        TestEnv::builder().standstill_limit(Duration::from_millis(50)).manual_time().start().await.unwrap();
    let worker = env.worker("nested").workflow(waits_days).workflow(nests);
    let worker = worker.activities(Nested(env.client())).start().await.unwrap();
    let run = env.client().start(nests(2, 30)).await.unwrap();
    let asleep = std::panic::AssertUnwindSafe(async { env.sleep(days(1)).await });
    let panic = futures::FutureExt::catch_unwind(asleep).await.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("AB0433") && text.contains("`Nested.spawns`"), "{text}");
    run.terminate("enough").await.unwrap();
    drop(worker);
}
