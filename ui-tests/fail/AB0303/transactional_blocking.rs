use abide::prelude::*;

#[activity(transactional)]
fn debit(tx: &mut sqlx::SqliteConnection, cents: i64) -> Result<i64, Failure> {
    let _ = tx;
    Ok(cents)
}

fn main() {}
