use abide::prelude::*;

#[workflow]
async fn report() {
    println!("started");
}

fn main() {}
