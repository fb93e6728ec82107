use abide::prelude::*;

async fn plain(n: u32) -> u32 {
    n
}

fn register(abide: Abide) {
    abide.worker("orders").activity(plain);
}

fn main() {}
