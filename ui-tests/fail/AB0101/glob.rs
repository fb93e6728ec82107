use abide::prelude::*;
use chrono::prelude::*;

#[workflow]
async fn report() {
    let _ = Utc::now();
}

fn main() {}
