use abide::prelude::*;

#[activity(transactional)]
async fn debit(tx: &mut sqlx::SqlitePool, cents: i64) -> i64 {
    let _ = tx;
    cents
}

fn main() {}
