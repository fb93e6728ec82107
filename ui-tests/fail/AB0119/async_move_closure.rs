use abide::prelude::*;

#[workflow]
async fn report() {
    let wait = async move |n: u64| workflow::sleep(secs(n)).await;
    wait(1).await;
}

fn main() {}
