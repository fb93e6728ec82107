use abide::prelude::*;
use std::collections::HashMap;

#[workflow]
async fn report(stocks: Vec<HashMap<String, u32>>) -> Vec<String> {
    let names = stocks.iter().flat_map(|stock| stock.keys().cloned());
    names.collect()
}

fn main() {}
