use abide::prelude::*;

use tokio::time::sleep as nap;

#[workflow]
async fn report(day: u32) -> u32 {
    nap(secs(1)).await;
    day
}

fn main() {}
