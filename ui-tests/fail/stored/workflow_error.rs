use abide::prelude::*;

#[derive(Debug)]
struct Declined;

#[derive(Default)]
struct Order {
    total: u32, items: Vec<u32>, name: String,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Declined> {
        Ok(self.total)
    }
}

fn main() {}
