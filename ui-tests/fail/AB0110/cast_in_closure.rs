use abide::prelude::*;

#[workflow]
async fn report() -> usize {
    let address = |text: &str| text.as_ptr() as usize;
    address("a")
}

fn main() {}
