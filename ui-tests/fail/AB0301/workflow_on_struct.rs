use abide::prelude::*;

#[workflow]
#[derive(Default)]
struct Order;

fn main() {}
