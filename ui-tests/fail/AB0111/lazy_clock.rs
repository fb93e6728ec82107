use abide::prelude::*;
use std::sync::LazyLock;
use std::time::Instant;

static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

#[workflow]
async fn report() {
    let _ = *STARTED;
}

fn main() {}
