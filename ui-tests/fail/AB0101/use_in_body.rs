use abide::prelude::*;

#[workflow]
async fn report() {
    use std::time::Instant;
    let started = { Instant::now() };
    let _ = started;
}

fn main() {}
