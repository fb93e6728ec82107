use abide::prelude::*;

struct Payments;

fn register(abide: Abide) {
    abide.worker("orders").activities(Payments);
}

fn main() {}
