use abide::prelude::*;

async fn lookup(day: u32) -> u32 {
    day
}

#[workflow]
async fn report(day: u32) -> u32 {
    lookup(day).await;
    day
}

fn main() {}
