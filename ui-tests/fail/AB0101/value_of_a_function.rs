use abide::prelude::*;
use std::time::{Instant, SystemTime};

type Start = Instant;

/// Hides where it has it from.
fn started() -> Result<Start, Failure> {
    Err(Failure::new("not yet"))
}

fn boot() -> Option<SystemTime> {
    None
}

fn show(_: Option<SystemTime>) -> u32 {
    1
}

#[workflow]
async fn report(n: u32) -> Result<u32, Failure> {
    let passed = started()?.elapsed();
    Ok(n + show(boot()) + passed.subsec_millis())
}

fn main() {}
