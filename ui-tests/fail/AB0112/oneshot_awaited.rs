use abide::prelude::*;
use tokio::sync::oneshot;

#[workflow]
async fn report() {
    let (sender, receiver) = oneshot::channel::<u32>();
    let _ = sender.send(1);
    let _ = receiver.await;
}

fn main() {}
