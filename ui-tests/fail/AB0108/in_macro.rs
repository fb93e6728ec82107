use abide::prelude::*;
use std::process;

#[workflow]
async fn report() -> String {
    format!("{}-{}", process::id(), 1)
}

fn main() {}
