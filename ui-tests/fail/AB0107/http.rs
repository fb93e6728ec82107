use abide::prelude::*;

#[workflow]
async fn report() {
    let _ = ureq::get("https://example.org").call();
}

fn main() {}
