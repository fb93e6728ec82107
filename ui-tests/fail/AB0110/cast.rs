use abide::prelude::*;

#[workflow]
async fn report() -> usize {
    let value = 1_u32;
    &raw const value as usize
}

fn main() {}
