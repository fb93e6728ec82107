#![deny(unused_must_use)]
use abide::prelude::*;
use std::collections::BTreeMap;

#[derive(Default)]
struct Order {
    items: BTreeMap<u32, u32>,
}

#[must_use]
fn total(items: &[u32]) -> u32 {
    items.iter().sum()
}

#[must_use]
fn rate() -> u32 {
    7
}

struct Prices;

impl Prices {
    #[must_use]
    fn refresh(&self) -> u32 {
        1
    }

    fn load(&self) -> Result<u32, String> {
        Ok(1)
    }
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> u32 {
        let prices = Prices;
        rate();
        total(&[1]);
        prices.refresh();
        prices.load();
        prices.load().is_ok();
        self.items.iter().map(|(key, value)| key + value);
        self.items.values().max();
        let later = |n: u32| { rate(); n };
        later(1)
    }

}

fn main() {}
