use abide::prelude::*;
use uuid::Uuid;

#[workflow]
async fn report() -> String {
    format!("order-{}", Uuid::new_v4())
}

fn main() {}
