use abide::prelude::*;
use std::collections::HashSet;

#[activity]
async fn wanted(of: u32) -> Result<HashSet<u32>, Failure> {
    Ok(HashSet::from([of]))
}

#[workflow]
async fn report(of: u32) -> Result<HashSet<u32>, Failure> {
    Ok(HashSet::from([of]))
}

#[derive(Default)]
struct Shop;

#[workflow]
impl Shop {
    #[run]
    async fn run(&mut self) -> HashSet<u32> {
        HashSet::new()
    }

    #[query]
    fn seen(&self) -> HashSet<u32> {
        HashSet::new()
    }
}

fn main() {}
