use abide::prelude::*;
use std::time::Instant;

#[workflow]
async fn report() {
    let _ = <Instant>::now();
}

fn main() {}
