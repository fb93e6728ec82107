use abide::prelude::*;

#[activity]
async fn rate(a: u32) -> f64 {
    f64::from(a)
}

fn register(abide: Abide) {
    abide.worker("orders").activity(rate(1));
}

fn main() {}
