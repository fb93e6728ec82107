use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        std::future::pending::<()>().await;
        self.total += n;
        self.total + n
    }
}

fn main() {}
