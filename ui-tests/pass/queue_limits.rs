//! Limits, priorities and fair shares of a task queue.

use abide::Rate;
use abide::prelude::*;

const MOST: u32 = 5;

#[activity(task_queue = "stripe", most = MOST, rate = "10/s", burst = 20, priority = "high")]
async fn charge(tenant: String) -> u32 {
    tenant.len() as u32
}

#[activity(task_queue = "stripe")]
async fn refund(cents: u32) -> u32 {
    cents
}

#[workflow]
async fn pay(tenant: String) -> Result<u32, CallError> {
    let charged = charge(tenant.clone()).limit_key(&tenant).fair(&tenant, 2).priority(Priority::Low).await?;
    Ok(charged + refund(charged).priority(Priority::Highest).await?)
}

async fn start(abide: Abide) -> abide::Result<()> {
    let worker = abide.worker("stripe").activity(charge).activity(refund);
    let worker = worker.limit(charge, 4).rate(refund, Rate::per_second(10)).start().await?;
    let client = abide.client();
    client.start(pay("t".to_owned())).priority(Priority::High).await?;
    worker.shutdown().await
}

fn main() {
    let _ = start;
}
