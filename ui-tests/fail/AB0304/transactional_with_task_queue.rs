use abide::prelude::*;

#[activity(transactional, task_queue = "bank")]
async fn debit(tx: &mut sqlx::SqliteConnection, cents: i64) -> i64 {
    let _ = tx;
    cents
}

#[activity(transactional = true)]
async fn credit(cents: i64) -> i64 {
    cents
}

fn main() {}
