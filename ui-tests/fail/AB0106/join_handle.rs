use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    let _ = tokio::spawn(async { 1 }).await;
    day
}

fn main() {}
