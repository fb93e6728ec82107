use abide::prelude::*;

#[activity(start_to_clsoe = "30s")]
async fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
