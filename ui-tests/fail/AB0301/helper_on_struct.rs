use abide::prelude::*;

#[workflow::helper]
struct Order;

fn main() {}
