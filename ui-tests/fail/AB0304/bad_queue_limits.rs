use abide::prelude::*;

#[activity(task_queue = "stripe", most = 0)]
async fn never(cents: u32) -> u32 {
    cents
}

#[activity(task_queue = "stripe", rate = "10 per second")]
async fn charge(cents: u32) -> u32 {
    cents
}

#[activity(task_queue = "stripe", burst = 20)]
async fn refund(cents: u32) -> u32 {
    cents
}

#[activity(task_queue = "stripe", priority = "urgent")]
async fn capture(cents: u32) -> u32 {
    cents
}

#[activity(task_queue = "stripe", rate_limit = "10/s")]
async fn payout(cents: u32) -> u32 {
    cents
}

fn main() {}
