use abide::prelude::*;
use rand::random_range;

#[workflow]
async fn report() -> u8 {
    let dice = || random_range(1..=6);
    dice()
}

fn main() {}
