use abide::prelude::*;
use std::collections::HashMap;

#[workflow]
async fn report(stock: HashMap<String, u32>) -> Vec<String> {
    let mut names: Vec<_> = stock.into_keys().collect();
    names.truncate(3);
    names.sort();
    names
}

fn main() {}
