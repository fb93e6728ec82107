use abide::prelude::*;

#[workflow::helper(state)]
async fn free() {
    workflow::sleep(secs(1)).await;
}

fn main() {}
