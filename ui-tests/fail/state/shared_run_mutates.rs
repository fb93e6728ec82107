use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&self) -> u32 {
        workflow::sleep(secs(1)).await;
        self.total += 1;
        self.total
    }
}

fn main() {}
