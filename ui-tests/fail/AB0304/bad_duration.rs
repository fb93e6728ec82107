use abide::prelude::*;

#[activity(start_to_close = "30 seconds", schedule_to_close = 60)]
async fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
