use abide::prelude::*;
use std::collections::HashMap;

#[derive(Default)]
struct Shop {
    stock: HashMap<String, u32>,
}

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> u32 {
        let mut sum = 0;
        for (name, count) in &self.stock {
            sum += count + name.len() as u32;
        }
        sum
    }
}

fn main() {}
