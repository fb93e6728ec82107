use abide::prelude::*;

#[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("declined")]
struct Declined;

#[activity]
async fn charge(cents: u32) -> Result<u32, Declined> {
    Ok(cents)
}

#[workflow]
async fn order(cents: u32) -> Result<u32, Declined> {
    Ok(charge(cents).await?)
}

fn main() {}
