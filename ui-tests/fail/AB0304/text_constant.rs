use abide::prelude::*;

const TEXT: &str = "5m";

#[activity(start_to_close = TEXT)]
async fn ship(n: u32) -> u32 {
    n
}

fn main() {}
