use abide::prelude::*;
use std::time::Instant as Clock;

#[workflow]
async fn report() -> u64 {
    let started = Clock::now();
    workflow::sleep(secs(1)).await;
    started.elapsed().as_secs()
}

fn main() {}
