use abide::prelude::*;

type Clock = std::time::Instant;

#[workflow]
async fn report() {
    let _ = Clock::now();
}

fn main() {}
