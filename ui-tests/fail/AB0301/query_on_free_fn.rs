use abide::prelude::*;

#[query]
fn status() -> u32 {
    1
}

fn main() {}
