use abide::prelude::*;
use std::pin::Pin;

fn wait() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(std::future::ready(()))
}

#[workflow]
async fn report() {
    wait().await;
}

fn main() {}
