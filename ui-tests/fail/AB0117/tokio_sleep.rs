use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    tokio::time::sleep(secs(1)).await;
    day
}

fn main() {}
