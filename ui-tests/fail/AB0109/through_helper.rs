use abide::prelude::*;

fn note(text: &str) {
    println!("{text}");
}

#[workflow]
async fn report() {
    note("started");
}

fn main() {}
