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
        let task = workflow::spawn(async move {
            let mut sum = 0;
            for count in self.stock.values_mut() {
                *count += 1;
                sum += *count;
            }
            sum
        });
        task.await.unwrap_or(0)
    }
}

fn main() {}
