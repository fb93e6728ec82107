use abide::prelude::*;

#[workflow]
async fn report() -> String {
    let value = 1;
    format!("{value:#p}", value = &value)
}

fn main() {}
