use abide::prelude::*;
use tokio::sync::mpsc as channel;

#[workflow]
async fn report() {
    let (sender, receiver) = channel::channel::<u32>(1);
    drop((sender, receiver));
}

fn main() {}
