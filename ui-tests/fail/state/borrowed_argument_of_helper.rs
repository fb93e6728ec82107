use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.greet(&self.name).await
    }

    async fn greet(&self, name: &str) -> u32 {
        workflow::sleep(secs(1)).await;
        name.len() as u32
    }
}

fn main() {}
