use abide::prelude::*;

#[derive(Debug, thiserror::Error)]
#[error("declined")]
struct Declined;

#[activity]
async fn charge(cents: u32) -> Result<u32, Declined> {
    Ok(cents)
}

fn main() {}
