use abide::prelude::*;

#[run]
async fn run(order: u32) -> u32 {
    order
}

fn main() {}
