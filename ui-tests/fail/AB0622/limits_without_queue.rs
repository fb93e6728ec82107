use abide::prelude::*;

#[activity(most = 5, rate = "10/s")]
async fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
