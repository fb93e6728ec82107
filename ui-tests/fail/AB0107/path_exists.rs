use abide::prelude::*;
use std::path::PathBuf;

#[workflow]
async fn report() -> bool {
    let path: PathBuf = "prices.csv".into();
    path.exists()
}

fn main() {}
