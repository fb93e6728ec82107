use abide::prelude::*;

#[activity(cancellation = "never")]
async fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
