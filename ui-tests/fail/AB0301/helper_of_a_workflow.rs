use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }
}

impl Order {
    #[workflow::helper]
    async fn elsewhere(&mut self) -> u32 {
        workflow::sleep(secs(1)).await;
        self.total
    }
}

fn main() {}
