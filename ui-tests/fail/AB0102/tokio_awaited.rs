use abide::prelude::*;
use tokio::time;

#[workflow]
async fn report() {
    time::sleep(secs(1)).await;
}

fn main() {}
