use abide::prelude::*;
use std::sync::RwLock;

#[workflow]
async fn report() -> usize {
    let locks: Vec<RwLock<u32>> = (0..3).map(|n| RwLock::new(n)).collect();
    locks.len()
}

fn main() {}
