use abide::prelude::*;

#[workflow]
async fn report() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn main() {}
