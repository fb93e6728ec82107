use abide::prelude::*;

#[workflow]
async fn report() {
    let _ = std::time::SystemTime::now();
}

fn main() {}
