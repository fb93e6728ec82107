use abide::prelude::*;

#[workflow::deterministic]
fn table(n: u32) -> u32 {
    n
}

fn main() {}
