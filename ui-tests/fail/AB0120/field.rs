use abide::prelude::*;
use tracing::info;

#[workflow]
async fn order(id: u32) {
    info!(id, key = %workflow::uuid(), "begins");
}

fn main() {}
