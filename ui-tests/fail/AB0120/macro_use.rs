#[macro_use]
extern crate tracing;

use abide::prelude::*;

#[workflow]
async fn order(id: u32) {
    info!(id, key = %workflow::uuid(), "begins");
}

fn main() {}
