use abide::prelude::*;
use std::collections::HashMap;

#[derive(Default)]
struct Shop {
    stock: Option<HashMap<String, u32>>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(stock) = &self.stock {
            for (name, _) in stock {
                names.push(name.clone());
            }
        }
        names
    }
}

fn main() {}
