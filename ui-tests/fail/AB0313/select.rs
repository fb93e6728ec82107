use abide::prelude::*;

#[activity]
async fn rate(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[workflow]
async fn order() -> Result<u32, Failure> {
    let paid = workflow::select! {
        paid = rate(1) => paid?,
        _ = workflow::sleep(secs(1)) => 0,
    }
    .await;
    Ok(paid)
}

#[workflow::helper]
async fn both() -> u32 {
    workflow::join!(rate(1), rate(2)).await.0.unwrap_or(0)
}

fn main() {}
