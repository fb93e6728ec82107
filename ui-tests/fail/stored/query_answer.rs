use abide::prelude::*;

struct Card;

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

    #[query]
    fn card(&self) -> Card {
        Card
    }
}

fn main() {}
