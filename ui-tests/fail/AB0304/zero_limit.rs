use abide::prelude::*;

#[activity(start_to_close = "0s")]
async fn ask() -> u32 {
    1
}

#[activity(schedule_to_close = "0ms", schedule_to_start = "0h0m", retry(max_attempts = 3))]
async fn ask_again() -> u32 {
    2
}

#[activity(start_to_close = "1ms")]
async fn fine() -> u32 {
    3
}

fn main() {}
