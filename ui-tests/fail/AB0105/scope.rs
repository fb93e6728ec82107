use abide::prelude::*;
use std::thread;

#[workflow]
async fn report() {
    thread::scope(|_| ());
}

fn main() {}
