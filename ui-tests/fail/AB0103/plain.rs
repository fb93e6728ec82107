use abide::prelude::*;

#[workflow]
async fn report() -> u64 {
    rand::random()
}

fn main() {}
