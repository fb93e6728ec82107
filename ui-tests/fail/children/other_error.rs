use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
enum Other {
    #[error("lost")]
    Lost,
}

#[workflow]
async fn ship(parcel: u32) -> Result<u32, Failure> {
    Ok(parcel)
}

#[workflow]
async fn trip() -> Result<u32, Other> {
    Ok(ship(1).await?)
}

fn main() {}
