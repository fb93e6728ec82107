use abide::prelude::*;
use std::fs::File;

#[workflow]
async fn report() {
    let _ = File::open("prices.csv");
}

fn main() {}
