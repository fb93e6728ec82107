use abide::prelude::*;

#[workflow]
async fn report() -> String {
    std::env::var("REGION").unwrap_or_default()
}

fn main() {}
