use abide::prelude::*;

#[workflow::helper]
async fn wait(ready: bool) {
    workflow::until!(ready).await;
}

fn main() {}
