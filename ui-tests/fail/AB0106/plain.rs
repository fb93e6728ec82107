use abide::prelude::*;

#[workflow]
async fn report() {
    let _ = tokio::spawn(async { 1 });
}

fn main() {}
