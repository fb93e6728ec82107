use abide::prelude::*;

#[activity(retry(attempts = 3))]
async fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
