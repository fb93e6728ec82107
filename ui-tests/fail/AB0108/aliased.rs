use abide::prelude::*;
use std::env as environment;

#[workflow]
async fn report() -> String {
    environment::var("REGION").unwrap_or_default()
}

fn main() {}
