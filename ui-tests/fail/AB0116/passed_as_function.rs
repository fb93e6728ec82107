use abide::prelude::*;

fn label(n: &u32) -> String {
    format!("{n} on {}", std::env::var("HOST").unwrap_or_default())
}

#[workflow]
async fn report() -> Vec<String> {
    [1, 2].iter().map(label).collect()
}

fn main() {}
