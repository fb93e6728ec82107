use abide::prelude::*;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
struct Shop {
    stock: HashMap<String, u32>,
    seen: HashSet<u32>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> String {
        let all = self.stock.iter().fold(String::new(), |all, (name, _)| all + name);
        let numbered: Vec<_> = (0..9).zip(&self.seen).collect();
        format!("{all}{numbered:?}")
    }
}

fn main() {}
