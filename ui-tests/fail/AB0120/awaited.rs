use abide::prelude::*;

#[activity]
async fn stock(id: u32) -> u32 {
    id
}

#[workflow]
async fn order(id: u32) -> Result<(), Failure> {
    tracing::info!("{} left", stock(id).await?);
    tracing::info!(left = %stock(id).await?, "left");
    Ok(())
}

fn main() {}
