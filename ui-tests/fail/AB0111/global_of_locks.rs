use abide::prelude::*;
use std::sync::{LazyLock, Mutex};

static LIMITS: LazyLock<Mutex<Vec<u32>>> = LazyLock::new(Mutex::default);

#[workflow]
async fn report() -> usize {
    LIMITS.lock().map_or(0, |limits| limits.len())
}

fn main() {}
