use abide::prelude::*;
use std::collections::BTreeMap;
use std::fs::Metadata;

#[workflow::helper]
fn is_old(files: &BTreeMap<u8, Metadata>, days: u64) -> bool {
    let Ok(at) = files[&0].modified() else { return false };
    at.elapsed().is_ok_and(|age| age > abide::prelude::days(days))
}

fn main() {
    let _ = is_old;
}
