use abide::prelude::*;

struct Card;

#[workflow]
async fn order(card: Card) -> u32 {
    let _ = card;
    1
}

fn main() {}
