use abide::prelude::*;

#[workflow]
async fn report() {
    std::print!("started");
}

fn main() {}
