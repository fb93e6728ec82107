use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Item(u32);

impl Item {
    fn stamp(&self) -> u32 {
        self.0 + rand::random::<u32>()
    }
}

#[activity]
pub async fn load() -> Vec<Item> {
    Vec::new()
}

#[workflow]
async fn report() -> Result<u32, Failure> {
    let items = load().await?;
    Ok(items.iter().map(|item| item.stamp()).sum())
}

fn main() {}
