use abide::prelude::*;
use tracing::Instrument as _;

/// Not marked: its awaits are anybody's.
async fn fetch() -> u32 {
    1
}

#[workflow]
async fn report() -> u32 {
    fetch().instrument(tracing::info_span!("fetch")).await
}

fn main() {}
