use abide::prelude::*;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[query]
    fn total(&self) -> u32 {
        self.total
    }
}

fn main() {}
