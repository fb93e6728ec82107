use abide::prelude::*;
use std::time::Instant;

#[workflow]
async fn report() -> String {
    format!("{:?}", Instant::now())
}

fn main() {}
