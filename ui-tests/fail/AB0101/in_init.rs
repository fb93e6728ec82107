use abide::prelude::*;
use std::time::Instant;

struct Order(Instant);

#[workflow]
impl Order {
    #[init]
    fn new(_: u32) -> Self {
        Self(Instant::now())
    }

    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        n
    }
}

fn main() {}
