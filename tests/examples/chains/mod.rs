//! What `docs/chains.md` shows. Each Rust block of the page stands here (`tidy` compares them).

use abide::prelude::*;
use abide::testing::{TestEnv, mock};
use std::time::Duration;

#[activity]
async fn charge(customer: String, month: u32) -> Result<(), Failure> {
    Err(Failure::new(format!("no card of {customer} for month {month}")))
}

#[derive(Default)]
struct Subscription {
    cancelled: bool,
    credit: u32,
}

#[workflow]
impl Subscription {
    #[run]
    async fn run(&mut self, customer: String, month: u32, credit: u32) -> Result<u32, Failure> {
        self.credit += credit;
        if self.credit > 0 {
            self.credit -= 1;
        } else {
            charge(customer.clone(), month).await?;
        }
        let over = workflow::until!(self.cancelled).timeout(workflow::days(30)).await;
        if over.is_ok() {
            return Ok(month);
        }
        workflow::continue_as_new(Self::run(customer, month + 1, self.credit)).await
    }

    #[signal]
    fn cancel(&mut self) {
        self.cancelled = true;
    }

    #[signal]
    fn add_credit(&mut self, months: u32) {
        self.credit += months;
    }
}

#[activity]
async fn check(host: String) -> Result<bool, Failure> {
    Ok(!host.is_empty())
}

#[workflow]
async fn watch(host: String, failures: u32) -> Result<u32, Failure> {
    let mut failures = failures;
    loop {
        failures += u32::from(!check(host.clone()).await?);
        if failures > 100 {
            return Ok(failures);
        }
        workflow::sleep(workflow::mins(5)).await;
        if workflow::info().should_continue_as_new() {
            return workflow::continue_as_new(watch(host, failures)).await;
        }
    }
}

#[workflow]
async fn import(page: u64) -> u64 {
    if page < 3 {
        let next = workflow::continue_as_new(import(page + 1));
        return next.task_queue("bulk").delay(Duration::from_secs(60)).await;
    }
    page
}

#[tokio::test]
async fn a_subscription_is_one_workflow_for_years() -> abide::Result<()> {
    let env = TestEnv::start().await?;
    let charges = mock(charge, |_customer: String, _month: u32| Ok(()));
    let worker = env.worker("bills").workflow(Subscription::run).mock(&charges).start().await?;
    let subscription = env.client().start(Subscription::run("ann".into(), 1, 1)).id("ann").await?;
    env.sleep(workflow::days(100)).await;
    subscription.cancel().await?;
    let months = subscription.result().await.unwrap();
    assert_eq!((months, charges.call_count()), (4, 3), "the first month was free");
    worker.shutdown().await
}

#[tokio::test]
async fn a_delay_is_skipped() -> abide::Result<()> {
    let env = TestEnv::start().await?;
    let worker = env.worker("bulk").workflow(import).workflow(watch).activity(check).start().await?;
    assert_eq!(env.client().start(import(1)).await?.result().await.unwrap(), 3);
    worker.shutdown().await
}
