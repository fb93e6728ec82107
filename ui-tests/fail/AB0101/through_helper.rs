use abide::prelude::*;

fn stamp() -> u64 {
    jiff::Timestamp::now().as_second().unsigned_abs()
}

#[workflow]
async fn report() -> u64 {
    stamp()
}

fn main() {}
