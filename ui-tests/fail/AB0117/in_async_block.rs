use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    let block = async { tokio::time::sleep(secs(1)).await };
    block.await;
    day
}

fn main() {}
