use abide::prelude::*;

fn next_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

#[workflow]
async fn report() -> String {
    next_id()
}

fn main() {}
