use abide::prelude::*;

struct Card;

#[workflow]
async fn order(n: u32) -> Card {
    let _ = n;
    Card
}

fn main() {}
