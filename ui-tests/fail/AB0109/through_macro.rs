use abide::prelude::*;

macro_rules! note {
    ($text:literal) => { println!("note: {}", $text) };
}

#[workflow]
async fn report() {
    note!("started");
}

fn main() {}
