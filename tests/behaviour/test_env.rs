//! The test environment as its users have it: the order test of a how-to, time that jumps, mocks, replay in every test.

use abide::prelude::*;
use abide::testing::{ActivityEnv, TestEnv, mock};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
enum PayError {
    #[error("the card was declined")]
    Declined,
    #[error("the bank is busy")]
    Busy,
}

impl PayError {
    fn is_transient(&self) -> bool {
        *self == Self::Busy
    }
}

#[activity(start_to_close = "30s", retry(max_attempts = 5), retry_if = PayError::is_transient)]
async fn charge(order: String, cents: u64) -> Result<String, PayError> {
    unreachable!("no test charges {cents} cents for {order}")
}

struct Stock;

#[activity]
impl Stock {
    async fn reserve(&self, item: String) -> Result<u64, Failure> {
        Err(Failure::new(format!("there is no warehouse to reserve {item} in")))
    }
    async fn release(&self, reservation: u64) -> Result<(), Failure> {
        Err(Failure::new(format!("there is no warehouse to release {reservation} in")))
    }
}

#[derive(Default)]
struct OrderWorkflow {
    approved: Option<bool>,
}

#[workflow]
impl OrderWorkflow {
    #[run]
    async fn run(&mut self, order: String, cents: u64) -> Result<String, Failure> {
        let mut saga = workflow::saga();
        let reservation = Stock::reserve("book".into()).await?;
        saga.on_failure(Stock::release(reservation));
        let in_time = workflow::until!(self.approved.is_some()).timeout(days(30)).await;
        if in_time.is_err() || self.approved == Some(false) {
            return Err(Failure::new("not approved"));
        }
        Ok(charge(order, cents).await?)
    }

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }

    #[query]
    fn is_approved(&self) -> Option<bool> {
        self.approved
    }
}

/// Temporal's how-to for orders: an environment, a worker with mocked activities, an order, its result.
#[tokio::test]
async fn an_order_is_approved_and_paid() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let reserves = mock(Stock::reserve, |_item: String| Ok(7_u64));
    let charges = mock(charge, |order: String, cents: u64| Ok(format!("{order}: {cents}")));
    let worker = env
        .worker("orders")
        .workflow(OrderWorkflow::run)
        .activities(Stock)
        .mock(&reserves)
        .mock(&charges)
        .start()
        .await?;

    let order = env.client().start(OrderWorkflow::run("A-1".into(), 990)).id("order-A-1").await?;
    assert_eq!(order.is_approved().await?, None);
    order.approve(true).await?;
    assert_eq!(order.result().await?, "A-1: 990");

    reserves.assert_called_with(("book".into(),));
    charges.assert_called_with(("A-1".into(), 990));
    charges.assert_called(1);
    worker.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_month_without_an_answer_compensates() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let began = env.now();
    let releases = mock(Stock::release, |_reservation: u64| Ok(()));
    let reserves = mock(Stock::reserve, |_item: String| Ok(7_u64));
    let worker = env
        .worker("orders")
        .workflow(OrderWorkflow::run)
        .activity(charge)
        .mock(&reserves)
        .mock(&releases)
        .start()
        .await?;
    let order = env.client().start(OrderWorkflow::run("A-2".into(), 990)).await?;
    let refused = order.result().await.unwrap_err();
    assert_eq!(refused.to_string(), "not approved");
    releases.assert_called_with((7,));
    let passed = env.now().duration_since(began);
    assert_eq!(passed.as_secs(), 30 * 86_400, "the clock stopped when it was over");
    worker.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn retries_and_time_limits_go_by_the_environments_clock() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let began = env.now();
    let charges = mock(charge, |_: String, _: u64| Ok("paid".to_owned())).fail(3, PayError::Busy);
    let worker = env.worker("orders").workflow(pay).mock(&charges).start().await?;
    assert_eq!(env.client().start(pay()).await?.result().await?, "paid");
    charges.assert_called(4);
    assert_eq!(env.now().duration_since(began).as_secs(), 1 + 2 + 4, "the default back-off");
    worker.shutdown().await?;

    let declines = mock(charge, |_: String, _: u64| Err(PayError::Declined));
    let worker = env.worker("orders").workflow(pay).mock(&declines).start().await?;
    let declined = env.client().start(pay()).await?.result().await.unwrap_err();
    assert_eq!(declined.to_string(), "the card was declined");
    declines.assert_called(1);
    worker.shutdown().await?;

    let began = env.now();
    let hangs = mock(charge, |_: String, _: u64| Ok(String::new())).never_ends();
    let worker = env.worker("orders").workflow(pay).mock(&hangs).start().await?;
    let late = env.client().start(pay()).await?.result().await.unwrap_err();
    assert!(late.to_string().contains("timed out"), "{late}");
    hangs.assert_called(5);
    assert_eq!(env.now().duration_since(began).as_secs(), 5 * 30 + 1 + 2 + 4 + 8);
    worker.shutdown().await?;
    Ok(())
}

#[workflow]
async fn pay() -> Result<String, Failure> {
    Ok(charge("A-1".into(), 1).await?)
}

fn orders(env: &TestEnv) -> abide::WorkerBuilder {
    env.worker("orders").workflow(OrderWorkflow::run).activities(Stock)
}

#[tokio::test]
async fn signals_come_at_chosen_times() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let began = env.now();
    let reserves = mock(Stock::reserve, |_item: String| Ok(7_u64)).delay(hours(1));
    let charges = mock(charge, |_: String, _: u64| Ok("paid".to_owned()));
    let worker = orders(&env).mock(&reserves).mock(&charges).start().await?;
    let order = env.client().start(OrderWorkflow::run("A-3".into(), 1)).await?;
    env.sleep(days(2)).await;
    assert_eq!(env.now().duration_since(began).as_secs(), 2 * 86_400, "so far, and no further");
    assert_eq!(order.is_approved().await?, None);
    let approval = env.after(days(27), order.approve(true));
    assert_eq!(order.result().await?, "paid");
    approval.await??;
    assert_eq!(env.now().duration_since(began).as_secs(), 29 * 86_400);
    worker.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn by_hand_time_passes_only_when_told() -> Result<(), Failure> {
    let env = TestEnv::builder().manual_time().start().await?;
    let worker = env.worker("timers").workflow(naps).start().await?;
    let nap = env.client().start(naps(2)).await?;
    let waiting = tokio::time::timeout(Duration::from_millis(50), nap.result()).await;
    assert!(waiting.is_err(), "nothing passes while it waits");
    env.sleep(hours(1)).await;
    let waiting = tokio::time::timeout(Duration::from_millis(50), nap.result()).await;
    assert!(waiting.is_err(), "one of two hours has passed");
    env.sleep(hours(1)).await;
    assert_eq!(nap.result().await?, 2);
    worker.shutdown().await?;
    Ok(())
}

#[workflow]
async fn naps(n: u32) -> u32 {
    for _ in 0..n {
        workflow::sleep(hours(1)).await;
    }
    n
}

#[derive(Default)]
struct Forgotten {
    done: bool,
}

#[workflow]
impl Forgotten {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.done).await;
    }

    #[signal]
    fn done(&mut self) {
        self.done = true;
    }
}

#[tokio::test]
async fn a_wait_that_nothing_ends_is_told_with_its_position() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = env.worker("orders").workflow(Forgotten::run).start().await?;
    let waits = env.client().start(Forgotten::run()).id("w-1").await?;
    let error = waits.result().await.unwrap_err().to_string();
    assert!(error.starts_with("AB0419: workflow `w-1` waits at tests/behaviour/test_env.rs:"), "{error}");
    assert!(error.contains("until!(self.done)"), "{error}");
    worker.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_wait_for_a_worker_that_is_not_there_says_so() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = env.worker("desk").workflow(pay).activity(charge).start().await?;
    let run = env.client().start(pay()).task_queue("dekc").id("w-2").await?;
    let error = run.result().await.unwrap_err().to_string();
    let says = "AB0419: workflow `w-2` waits for a worker of task queue `dekc` (no live worker is on its task queue)";
    assert!(error.starts_with(says), "{error}");
    Ok(worker.shutdown().await?)
}

#[tokio::test]
async fn a_run_that_no_build_can_run_is_suspended_and_not_waited_for() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = |build: &str| env.worker("desk").workflow(pay).build_id(build).start();
    let (one, two) = (worker("one").await?, worker("two").await?);
    let run = env.client().start(pay()).await?;
    let Err(WorkflowError::Suspended(reason)) = run.result().await else {
        panic!("neither has the activity")
    };
    assert_eq!(reason.code(), "AB0207");
    one.shutdown().await?;
    Ok(two.shutdown().await?)
}

static CALLS: AtomicU32 = AtomicU32::new(0);

#[workflow::deterministic("a lie, for the test: it counts calls of the whole process")]
fn how_often() -> u32 {
    CALLS.fetch_add(1, Ordering::Relaxed)
}

#[activity]
async fn note(n: u32) -> u32 {
    n
}

#[workflow]
async fn counts_with_a_global() -> Result<u32, Failure> {
    let first = note(1).await?;
    Ok(note(first + how_often()).await?)
}

#[workflow]
async fn branches_on_a_global() -> Result<u32, Failure> {
    if how_often() % 2 == 0 {
        workflow::sleep(hours(1)).await;
    }
    Ok(note(1).await?)
}

/// What no compiler can see, the first test does: each turn is replayed on a fresh thread.
#[tokio::test]
async fn code_that_a_replay_cannot_repeat_is_found_by_its_first_test() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = env
        .worker("q")
        .workflow(counts_with_a_global)
        .workflow(branches_on_a_global)
        .activity(note)
        .start()
        .await?;
    let other_input = env.client().start(counts_with_a_global()).await?.result().await.unwrap_err();
    let told = other_input.to_string();
    assert!(told.contains("AB0201") && told.contains("the same activity with another input"), "{told}");
    assert!(told.contains("note(first + how_often())"), "{told}");

    let other_command = env.client().start(branches_on_a_global()).await?.result().await.unwrap_err();
    let told = other_command.to_string();
    assert!(told.contains("AB0201") && told.contains("tests/behaviour/test_env.rs:"), "{told}");
    worker.shutdown().await?;
    Ok(())
}

/// One body, three databases. Only the virtual clock can jump, so there is nothing long to wait for.
async fn approved_in(env: TestEnv) -> Result<(), Failure> {
    let reserves = mock(Stock::reserve, |_item: String| Ok(7_u64)).fail(1, Failure::new("closed for lunch"));
    let charges = mock(charge, |_: String, _: u64| Ok("paid".to_owned()));
    let worker = orders(&env).mock(&reserves).mock(&charges).start().await?;
    let order = env.client().start(OrderWorkflow::run("A-4".into(), 1)).await?;
    order.approve(true).await?;
    assert_eq!(order.result().await?, "paid");
    reserves.assert_called(2);
    worker.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn the_same_test_runs_in_memory_and_on_real_databases() -> Result<(), Failure> {
    approved_in(TestEnv::start().await?).await?;
    let folder = tempfile::tempdir()?;
    let file = format!("sqlite://{}", folder.path().join("test.db").display());
    approved_in(TestEnv::builder().database(file).start().await?).await?;
    approved_in(TestEnv::builder().database(cluster::shared_database()).start().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn activities_that_are_not_mocked_run_in_real_time_while_the_clock_stands_still() -> Result<(), Failure>
{
    let env = TestEnv::start().await?;
    let began = env.now();
    let worker = env.worker("q").workflow(waits_for_the_world).activity(the_world).start().await?;
    let left = env.client().start(waits_for_the_world()).await?.result().await?;
    assert!(left > 29, "{left} s of the limit of 30 s are left");
    assert_eq!(env.now().duration_since(began).as_secs(), 0);
    worker.shutdown().await?;
    Ok(())
}

#[activity(start_to_close = "30s")]
async fn the_world() -> u64 {
    tokio::time::sleep(Duration::from_millis(20)).await;
    abide::activity::context().time_left().unwrap_or_default().as_secs_f64().ceil() as u64
}

#[workflow]
async fn waits_for_the_world() -> Result<u64, Failure> {
    Ok(the_world().await?)
}

#[tokio::test]
async fn a_seed_gives_the_same_random_numbers() -> Result<(), Failure> {
    let mut drawn = Vec::new();
    for seed in [7, 7, 8] {
        // A run's id holds its time as well.
        let time = "2026-01-01T00:00:00Z".parse().unwrap();
        let env = TestEnv::builder().seed(seed).start_at(time).start().await?;
        assert_eq!(env.seed(), seed);
        let worker = env.worker("q").workflow(draws).start().await?;
        let draw = env.client().start(draws()).await?;
        drawn.push((draw.result().await?, draw.id().to_owned()));
        worker.shutdown().await?;
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], drawn[2]);
    Ok(())
}

#[workflow]
async fn draws() -> (u64, String) {
    (workflow::random(), workflow::uuid().to_string())
}

/// An activity's body alone, in an environment of its own.
#[tokio::test]
async fn a_body_is_tested_by_itself() {
    let env = ActivityEnv::new().attempt(2).run_id("run-1");
    assert_eq!(env.run(describes_itself::body()).await, "attempt 2, run-1/1");
    env.cancel();
    assert_eq!(env.run(describes_itself::body()).await, "cancelled");
}

#[activity]
async fn describes_itself() -> String {
    let context = abide::activity::context();
    match context.is_cancelled() {
        true => "cancelled".to_owned(),
        false => format!("attempt {}, {}", context.attempt(), context.idempotency_key()),
    }
}
