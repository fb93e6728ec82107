use abide::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

static STARTED: AtomicU32 = AtomicU32::new(0);

#[workflow]
async fn report() -> u32 {
    STARTED.fetch_add(1, Ordering::SeqCst)
}

fn main() {}
