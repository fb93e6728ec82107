use abide::prelude::*;
use std::thread;

#[workflow]
async fn report() {
    let all = |count: u32| (0..count).for_each(|_| drop(thread::spawn(|| 1)));
    all(3);
}

fn main() {}
