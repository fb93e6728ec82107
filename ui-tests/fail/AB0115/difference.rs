use abide::prelude::*;
use std::collections::HashSet;

#[derive(Default)]
struct Shop {
    ordered: HashSet<u32>,
    sent: HashSet<u32>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> Vec<u32> {
        self.ordered.difference(&self.sent).copied().collect::<Vec<_>>()
    }
}

fn main() {}
