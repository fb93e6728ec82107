use abide::prelude::*;
use uuid::Uuid as Id;

#[workflow]
async fn report() -> String {
    Id::now_v7().to_string()
}

fn main() {}
