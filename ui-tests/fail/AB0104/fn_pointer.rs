use abide::prelude::*;
use uuid::Uuid;

#[workflow]
async fn report() -> String {
    let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(2).collect();
    ids[0].to_string()
}

fn main() {}
