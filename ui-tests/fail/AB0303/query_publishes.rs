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

    #[query]
    fn total(&self) -> u32 {
        let _ = workflow::publish("totals", &self.total);
        self.total
    }
}

fn main() {}
