use abide::prelude::*;

fn shuffled() -> Vec<u8> {
    use rand::seq::SliceRandom;
    let mut cards = vec![1, 2, 3];
    cards.shuffle(&mut rand::rng());
    cards
}

#[workflow]
async fn report() -> Vec<u8> {
    shuffled()
}

fn main() {}
