use abide::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);
fn next() -> u32 {
    NEXT.fetch_add(1, Ordering::SeqCst)
}

#[workflow]
async fn report() -> u32 {
    next()
}

fn main() {}
