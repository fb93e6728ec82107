use abide::prelude::*;
use std::time::Instant;

#[workflow]
async fn report() {
    let elapsed = |started: Instant| started.elapsed();
    let _ = elapsed;
}

fn main() {}
