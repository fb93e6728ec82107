use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        self.total
    }

    #[signal]
    fn approve(&mut self) -> bool {
        true
    }
}

fn main() {}
