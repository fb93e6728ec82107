use abide::prelude::*;

#[activity(transactional)]
async fn debit(tx: &mut sqlx::SqliteConnection, cents: i64) -> i64 {
    let _ = tx;
    cents
}

#[workflow]
async fn pay(cents: u8) -> Result<i64, CallError> {
    debit(i64::from(cents), 1).await
}

fn main() {}
