use abide::prelude::*;
use abide::workflow::join as both;

#[activity]
async fn rate(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[workflow]
async fn order() -> Result<u32, Failure> {
    let (a, b) = both!(rate(1), rate(2));
    Ok(a? + b?)
}

#[workflow::helper]
fn later() -> impl abide::workflow::WorkflowFuture<Output = u32> {
    workflow::try_join!(rate(1), rate(2));
    async { 1 }
}

async fn unmarked() {
    workflow::join!(rate(1), rate(2));
}

fn main() {}
