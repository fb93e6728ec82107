use abide::prelude::*;

#[workflow]
async fn report() {
    [1, 2].iter().for_each(|n| eprintln!("{n}"));
}

fn main() {}
