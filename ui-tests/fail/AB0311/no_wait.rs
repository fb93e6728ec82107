use abide::prelude::*;

#[activity(retry(initial_interval = "0s", max_interval = "0ms"))]
async fn charge(cents: u32) -> u32 {
    cents
}

#[activity(retry(initial_interval = "1ms"))]
async fn refund(cents: u32) -> u32 {
    cents
}

#[workflow(retry(initial_interval = "0s"))]
async fn report(day: u32) -> u32 {
    day
}

fn main() {}
