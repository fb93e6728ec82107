use abide::prelude::*;
use std::sync::Arc;

#[activity]
async fn name(_: Arc<Vec<u32>>) -> u32 {
    1
}

fn main() {}
