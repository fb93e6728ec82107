use abide::prelude::*;

#[activity]
async fn charge(n: u32) -> u32 {
    n
}

async fn both(n: u32) -> Result<u32, CallError> {
    charge(n).await
}

#[activity]
async fn charge_all(n: u32) -> Result<u32, Failure> {
    Ok(both(n).await?)
}

#[activity]
async fn sleeps() {
    workflow::sleep(secs(1)).await;
}

fn main() {}
