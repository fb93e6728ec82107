use abide::prelude::*;
use std::time::Duration;

const NONE: Duration = secs(0);

#[activity(start_to_close = NONE)]
async fn charge(n: u32) -> u32 {
    n
}

#[activity(retry(initial_interval = NONE))]
async fn refund(n: u32) -> u32 {
    n
}

fn main() {}
