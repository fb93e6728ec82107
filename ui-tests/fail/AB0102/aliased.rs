use abide::prelude::*;
use std::thread::sleep as nap;

#[workflow]
async fn report() {
    nap(secs(1));
}

fn main() {}
