use abide::prelude::*;

#[workflow]
async fn report() {
    let wait = || async { tokio::time::sleep(secs(1)).await };
    wait().await;
}

fn main() {}
