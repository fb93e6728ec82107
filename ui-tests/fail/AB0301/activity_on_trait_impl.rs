use abide::prelude::*;

trait Charge {
    async fn charge(&self) -> u32;
}

struct Payments;

#[activity]
impl Charge for Payments {
    async fn charge(&self) -> u32 {
        1
    }
}

fn main() {}
