use abide::prelude::*;

#[workflow]
async fn report() {
    let _ = std::fs::read_to_string("prices.csv");
}

fn main() {}
