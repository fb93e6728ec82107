use abide::prelude::*;

#[activity]
async fn charge<T: Clone>(cents: T) -> T {
    cents
}

fn main() {}
