use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

fn outside() {
    tokio::spawn(async { rate(1).await });
}

fn main() {}
