use abide::prelude::*;
use std::collections::HashMap;

#[workflow::helper]
fn first(stock: &HashMap<String, u32>) -> Option<&String> {
    stock.keys().find(|name| name.len() > 3)
}

fn main() {
    let _ = first(&HashMap::new());
}
