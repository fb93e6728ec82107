use abide::prelude::*;
use std::collections::HashMap;

#[workflow]
async fn report(stock: HashMap<String, u32>) -> String {
    format!("{:?}", stock.values().next())
}

fn main() {}
