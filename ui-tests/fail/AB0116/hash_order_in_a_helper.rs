use abide::prelude::*;
use std::collections::HashMap;

fn lines(prices: &HashMap<String, u64>) -> Vec<String> {
    prices.iter().map(|(name, cents)| format!("{name}: {cents}")).collect()
}

#[workflow]
async fn report(prices: HashMap<String, u64>) -> Vec<String> {
    lines(&prices)
}

fn main() {}
