use abide::prelude::*;
use std::collections::HashSet;

#[workflow]
async fn report(n: u32) -> Vec<Option<u32>> {
    let seen = HashSet::from([n]);
    vec![seen.iter().copied().next()]
}

fn main() {}
