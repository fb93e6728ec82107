use abide::prelude::*;

#[workflow]
async fn report() {
    workflow::join!(workflow::sleep(secs(1)), tokio::time::timeout(secs(1), async {}));
}

fn main() {}
