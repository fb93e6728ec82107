use abide::prelude::*;

#[activity(transactional)]
async fn debit() -> i64 {
    0
}

#[activity(transactional)]
async fn credit(account: i64, cents: i64) -> i64 {
    account + cents
}

#[workflow]
async fn transfer() -> Result<i64, CallError> {
    debit().await?;
    credit(1, 2).await
}

fn main() {}
