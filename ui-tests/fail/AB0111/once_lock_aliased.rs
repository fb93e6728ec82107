use abide::prelude::*;
use std::sync::OnceLock as Once;

static REGION: Once<u32> = Once::new();

#[workflow]
async fn report() -> u32 {
    *REGION.get_or_init(|| 1)
}

fn main() {}
