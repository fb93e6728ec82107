use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    let block = async { std::future::pending::<()>().await };
    block.await;
    day
}

fn main() {}
