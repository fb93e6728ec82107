use abide::prelude::*;

struct Payments;

#[activity]
impl Payments {
    async fn charge(&self, cents: u32) -> u32 {
        cents
    }
}

fn register(abide: Abide) {
    abide.worker("orders").activity(Payments::charge);
}

fn main() {}
