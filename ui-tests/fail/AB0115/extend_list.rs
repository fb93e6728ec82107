use abide::prelude::*;
use std::collections::HashMap;

#[derive(Default)]
struct Shop {
    stock: HashMap<String, u32>,
    names: Vec<String>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> u32 {
        1
    }

    #[signal]
    fn list(&mut self) {
        self.names.extend(self.stock.keys().cloned());
    }

    #[query]
    fn listed(&self) -> Vec<(String, u32)> {
        let mut all = vec![];
        all.extend(self.stock.clone());
        all
    }
}

fn main() {}
