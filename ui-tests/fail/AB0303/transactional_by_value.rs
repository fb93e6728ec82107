use abide::prelude::*;
use sqlx::SqliteConnection;

struct Bank;

#[activity]
impl Bank {
    #[activity(transactional)]
    async fn debit(&self, tx: SqliteConnection, cents: i64) -> i64 {
        drop(tx);
        cents
    }

    #[activity(transactional)]
    async fn credit(&self, tx: &SqliteConnection, cents: i64) -> i64 {
        let _ = tx;
        cents
    }
}

#[workflow]
async fn transfer() -> Result<i64, CallError> {
    Bank::debit(1).await?;
    Bank::credit(1).await
}

fn main() {}
