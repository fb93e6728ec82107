use abide::prelude::*;

struct Card;

#[activity]
async fn charge(cents: u32) -> Card {
    let _ = cents;
    Card
}

fn main() {}
