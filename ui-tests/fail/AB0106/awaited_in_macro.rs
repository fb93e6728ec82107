use abide::prelude::*;
use tokio::task;

#[workflow]
async fn report() {
    assert!(task::spawn(async { true }).await.is_ok());
}

fn main() {}
