use abide::prelude::*;

fn seats() -> u32 {
    let (sender, receiver) = std::sync::mpsc::channel();
    let _ = sender.send(3);
    receiver.recv().unwrap_or_default()
}

#[workflow]
async fn report() -> u32 {
    seats()
}

fn main() {}
