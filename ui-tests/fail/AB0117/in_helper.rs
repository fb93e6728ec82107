use abide::prelude::*;

#[workflow::helper]
async fn wait() {
    tokio::time::sleep(secs(1)).await;
}

fn main() {}
