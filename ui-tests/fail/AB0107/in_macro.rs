use abide::prelude::*;

macro_rules! println_not {
    ($($value:expr),*) => { $(drop($value);)* };
}

#[workflow]
async fn report() {
    println_not!(tokio::fs::read("prices.csv"));
}

fn main() {}
