use abide::prelude::*;
use std::collections::hash_map::RandomState;

#[workflow]
async fn report() {
    let hasher = RandomState::new();
    let _ = hasher;
}

fn main() {}
