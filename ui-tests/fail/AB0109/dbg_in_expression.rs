use abide::prelude::*;

#[workflow]
async fn report() -> u32 {
    dbg!(1 + 1)
}

fn main() {}
