use abide::prelude::*;

#[workflow]
async fn report() {
    let seats = tokio::sync::Semaphore::new(2);
    let _ = seats;
}

fn main() {}
