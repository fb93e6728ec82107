use abide::prelude::*;

#[activity]
async fn dump(id: u32) -> u32 {
    id
}

#[workflow]
async fn order(id: u32) -> Result<(), Failure> {
    if tracing::enabled!(tracing::Level::DEBUG) {
        dump(id).await?;
    }
    Ok(())
}

fn main() {}
