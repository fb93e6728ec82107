use abide::prelude::*;
use rand::random as draw;

#[workflow]
async fn report() -> u64 {
    draw()
}

fn main() {}
