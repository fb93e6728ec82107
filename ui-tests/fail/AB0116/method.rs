use abide::prelude::*;
use std::time::Instant;

struct Pricing {
    since: Instant,
}

impl Pricing {
    fn new() -> Self {
        Self { since: Instant::now() }
    }

    fn age(&self) -> u64 {
        self.since.elapsed().as_secs()
    }
}

#[workflow]
async fn report() -> u64 {
    let pricing = Pricing::new();
    pricing.age()
}

fn main() {}
