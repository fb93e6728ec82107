use abide::prelude::*;

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Declined;

#[activity]
async fn charge(cents: u32) -> Result<u32, Declined> {
    Ok(cents)
}

fn main() {}
