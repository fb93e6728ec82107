use abide::prelude::*;

#[workflow]
async fn report(ready: bool) -> bool {
    workflow::until!(ready).await;
    let later = async move { workflow::until!(ready).timeout(secs(1)).await };
    later.await.is_ok()
}

fn main() {}
