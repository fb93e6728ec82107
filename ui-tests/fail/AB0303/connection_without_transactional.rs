use abide::prelude::*;

#[activity]
async fn debit(tx: &mut sqlx::SqliteConnection, cents: i64) -> i64 {
    let _ = tx;
    cents
}

fn main() {}
