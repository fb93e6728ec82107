use abide::prelude::*;

use std::rc::Rc;

#[activity]
async fn charge(cents: u32) -> u32 {
    let shared = Rc::new(cents);
    tokio::task::yield_now().await;
    *shared
}

fn main() {}
