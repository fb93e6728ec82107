use abide::prelude::*;

#[workflow::helper]
async fn wait() {
    std::future::pending::<()>().await;
}

fn main() {}
