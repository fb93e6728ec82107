use abide::prelude::*;

#[activity]
struct Payments;

fn main() {}
