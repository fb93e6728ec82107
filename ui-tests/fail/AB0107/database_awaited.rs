use abide::prelude::*;
use sqlx::query;

fn pool() -> sqlx::AnyPool {
    unimplemented!()
}

#[workflow]
async fn report() {
    let rows = query::<sqlx::Any>("select 1").fetch_all(&pool()).await;
    let _ = rows;
}

fn main() {}
