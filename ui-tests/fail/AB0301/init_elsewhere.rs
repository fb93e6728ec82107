use abide::prelude::*;

#[init]
fn new(n: u32) -> u32 {
    n
}

#[workflow]
#[init]
async fn report(n: u32) -> u32 {
    n
}

fn main() {}
