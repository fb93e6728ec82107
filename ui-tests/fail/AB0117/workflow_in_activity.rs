use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> Result<u32, Failure> {
    Ok(day)
}

#[activity]
async fn nightly(day: u32) -> Result<u32, Failure> {
    Ok(report(day).await?)
}

fn main() {}
