//! Transactional activities in every form: free and method, behind an alias, called by hand, beside plain ones.
use abide::prelude::*;
use sqlx::SqliteConnection;

type Tx = SqliteConnection;

/// Debits.
#[activity(transactional, start_to_close = "10s")]
pub async fn debit(tx: &mut Tx, account: i64, cents: i64) -> Result<i64, Failure> {
    let left = sqlx::query_scalar("UPDATE account SET cents = cents - $2 WHERE id = $1 RETURNING cents");
    Ok(left.bind(account).bind(cents).fetch_one(tx).await?)
}

#[activity(transactional)]
async fn count(_: &mut Tx) -> i64 {
    0
}

struct Bank {
    limit: i64,
}

#[activity(transactional)]
impl Bank {
    async fn credit(&self, mut tx: &'_ mut sqlx::SqliteConnection, (account, cents): (i64, i64)) -> Result<(), Failure> {
        let left = debit::body(&mut tx, account, -cents).await?;
        match left > self.limit {
            true => Err(Failure::new("too rich")),
            false => Ok(()),
        }
    }

    #[activity]
    async fn tell(&self, left: i64) -> String {
        format!("{left} of {}", self.limit)
    }
}

#[workflow]
async fn transfer(from: i64, to: i64, cents: i64) -> Result<String, Failure> {
    let left: i64 = debit(from, cents).await?;
    Bank::credit((to, cents)).await?;
    let _: i64 = count().await?;
    Ok(Bank::tell(left).await?)
}

async fn by_hand(connection: &mut SqliteConnection, bank: Bank) -> Result<i64, Failure> {
    bank.credit(connection, (1, 2)).await?;
    debit::body(connection, 1, 2).await
}

async fn outbox(client: Client, order: Handle<transfer>, pool: sqlx::SqlitePool) -> Result<(), Failure> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    client.start(transfer(1, 2, 3)).id("t").within(&mut *tx).await?;
    order.cancel("enough").within(&mut *tx).await?;
    Ok(tx.commit().await?)
}

fn is_send<T: Send>(_: T) {}

async fn worker(abide: Abide, client: Client, order: Handle<transfer>, pool: sqlx::SqlitePool) {
    is_send(outbox(client, order, pool));
    let worker = abide.worker("bank").workflow(transfer).activity(debit).activity(count);
    let _ = worker.activities(Bank { limit: 100 }).start().await;
}

fn main() {
    let _ = (worker, by_hand);
}
