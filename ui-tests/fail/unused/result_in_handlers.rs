#![deny(unused_must_use)]
use abide::prelude::*;

#[derive(Default)]
struct Order {
    items: Vec<u32>,
}

#[must_use]
fn rate() -> u32 {
    7
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        1
    }

    #[query]
    fn total(&self) -> u32 {
        self.checked();
        self.items.iter().map(|item| item + 1);
        1
    }

    #[signal]
    fn add(&mut self, item: u32) {
        self.checked();
        rate();
        self.items.push(item);
    }

    fn checked(&self) -> Result<u32, String> {
        Ok(1)
    }
}

fn main() {}
