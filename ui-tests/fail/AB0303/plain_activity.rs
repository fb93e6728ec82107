use abide::prelude::*;

#[activity]
fn charge(cents: u32) -> u32 {
    cents
}

fn main() {}
