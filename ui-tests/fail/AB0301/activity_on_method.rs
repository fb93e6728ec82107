use abide::prelude::*;

struct Payments;

impl Payments {
    #[activity]
    async fn charge(&self) -> u32 {
        1
    }
}

fn main() {}
