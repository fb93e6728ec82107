use abide::prelude::*;

#[derive(Default)]
struct Order;

impl Order {
    #[workflow]
    async fn run(&mut self) -> u32 {
        1
    }
}

fn main() {}
