use abide::prelude::*;
use tokio::runtime::Handle;

#[workflow]
async fn report() -> u32 {
    Handle::current().block_on(async { 1 })
}

fn main() {}
