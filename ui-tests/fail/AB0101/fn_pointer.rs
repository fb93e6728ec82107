use abide::prelude::*;
use std::time::SystemTime;

#[workflow]
async fn report() {
    let clock = SystemTime::now;
    let _ = clock();
}

fn main() {}
