use abide::prelude::*;
use rand::random;

#[workflow]
async fn report() -> Vec<u64> {
    vec![random(); 3]
}

fn main() {}
