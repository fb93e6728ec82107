use abide::prelude::*;
use std::collections::HashMap as Table;

type Stock<K> = Table<K, u32>;

#[workflow]
async fn report(stock: Stock<String>) -> u32 {
    let mut sum = 0;
    for count in stock.into_values() {
        sum += count;
        workflow::sleep(secs(1)).await;
    }
    sum
}

fn main() {}
