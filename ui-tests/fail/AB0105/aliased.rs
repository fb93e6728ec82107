use abide::prelude::*;
use std::thread::spawn as start;

#[workflow]
async fn report() {
    let _ = start(|| 1);
}

fn main() {}
