use abide::prelude::*;

#[workflow]
async fn report(day: u32) -> u32 {
    let lock = tokio::sync::Mutex::new(1);
    let _ = lock.lock().await;
    day
}

fn main() {}
