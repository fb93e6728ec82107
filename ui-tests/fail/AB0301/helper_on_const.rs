use abide::prelude::*;

#[workflow::helper]
const LIMIT: u32 = 3;

fn main() {}
