use abide::prelude::*;

struct Payments(u32);

#[activity]
impl Payments {
    async fn charge(&mut self) -> u32 {
        self.0
    }
}

fn main() {}
