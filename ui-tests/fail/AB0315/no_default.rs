use abide::prelude::*;

struct Order(u32);

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.0
    }
}

fn main() {}
