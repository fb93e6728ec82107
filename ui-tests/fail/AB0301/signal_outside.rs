use abide::prelude::*;

#[derive(Default)]
struct Order;

impl Order {
    #[signal]
    fn approve(&mut self) {}
}

fn main() {}
