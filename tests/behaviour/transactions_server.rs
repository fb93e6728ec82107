//! Transactional activities on Postgres: others write meanwhile, and may be in the way.

use super::support::{Log, eventually};
use super::transactions::*;
use abide::prelude::*;
use sqlx::{Connection, Executor, PgConnection};

/// Does what gets into others' way.
struct Clerk(Log);

#[activity]
impl Clerk {
    /// Takes the one row, and then the other.
    #[activity(transactional, retry(max_attempts = 1))]
    async fn transfer(&self, tx: &mut PgConnection, from: i64, to: i64, cents: i64) -> Result<(), Failure> {
        let take = "UPDATE account SET cents = cents - $2 WHERE id = $1";
        sqlx::query(take).bind(from).bind(cents).execute(&mut *tx).await?;
        self.0.add(format!("{from} to {to}"));
        let give = "UPDATE account SET cents = cents + $2 WHERE id = $1";
        sqlx::query(give).bind(to).bind(cents).execute(tx).await?;
        Ok(())
    }

    /// Waits in its transaction until it is asked to stop.
    #[activity(transactional)]
    async fn wait(&self, tx: &mut PgConnection) -> Result<i64, Failure> {
        let left = debit::body(tx, 1, 10).await?;
        self.0.add("waits");
        abide::activity::context().cancelled().await;
        Ok(left)
    }

    /// Goes on after an error that undid its transaction, as if nothing had been.
    #[activity(transactional, retry(max_attempts = 1))]
    async fn careless(&self, tx: &mut PgConnection) -> Result<(), Failure> {
        debit::body(&mut *tx, 1, 10).await?;
        drop(tx.execute("SELECT 1 / 0").await);
        Ok(())
    }
}

#[workflow]
async fn transfers(from: i64, to: i64) -> Result<(), ActivityError<Failure>> {
    for _ in 0..10 {
        Clerk::transfer(from, to, 1).await?;
    }
    Ok(())
}

#[workflow]
async fn waiting() -> Result<i64, ActivityError<Failure>> {
    Clerk::wait().await
}

#[workflow]
async fn carelessly() -> Result<(), ActivityError<Failure>> {
    Clerk::careless().await
}

#[workflow]
async fn paying() -> Result<i64, ActivityError<Failure>> {
    debit(1, 0).await
}

async fn worker(bank: &Bank, log: &Log) -> Worker {
    let builder = bank.abide.worker("bank").workflow(transfers).workflow(waiting).workflow(carelessly);
    builder.workflow(paying).activity(debit).activities(Clerk(log.clone())).start().await.unwrap()
}

/// What two that wait for each other's row are told is the user's error; money is never made or lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_meet_neither_lose_nor_double_anything() {
    let (bank, log) = (Bank::new().await, Log::default());
    bank.user().await.execute("INSERT INTO account VALUES (2, 100)").await.unwrap();
    let worker = worker(&bank, &log).await;
    let client = bank.abide.client();
    let mut runs = Vec::new();
    for n in 0..6 {
        let (from, to) = if n % 2 == 0 { (1, 2) } else { (2, 1) };
        runs.push((from, client.start(transfers(from, to)).await.unwrap()));
    }
    let mut expected = 100;
    for (from, run) in runs {
        let result = run.result().await;
        let history = run.history().await.unwrap();
        let completed =
            |event: &&abide::history::Event| matches!(event, abide::history::Event::ActivityCompleted { .. });
        let done = history.iter().flat_map(|row| &row.events).filter(completed).count();
        assert_eq!(result.is_ok(), done == 10, "{done}: {result:?}");
        expected += if from == 1 { -(done as i64) } else { done as i64 };
    }
    let number = async |query: &'static str| -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut bank.user().await).await.unwrap()
    };
    let total = number("SELECT sum(cents)::bigint FROM account").await;
    let first = number("SELECT cents FROM account WHERE id = 1").await;
    assert_eq!(
        (total, first),
        (200, expected),
        "each transfer that its workflow saw is in, once, and no other"
    );
    worker.shutdown().await.unwrap();
}

/// Nothing waits for it: others write, and a cancel reaches it at once.
#[tokio::test]
async fn a_long_transaction_holds_nobody_up_and_can_be_cancelled() {
    let (bank, log) = (Bank::new().await, Log::default());
    bank.user().await.execute("INSERT INTO account VALUES (2, 100)").await.unwrap();
    let worker = worker(&bank, &log).await;
    let client = bank.abide.client();
    let run = client.start(waiting()).await.unwrap();
    eventually("it waits", async || !log.lines().is_empty()).await;
    run.cancel("no more").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    let paid = client.start(paying()).await.unwrap();
    assert_eq!(paid.result().await.unwrap(), 100, "its lock on the row is gone, and nothing of it is in");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_body_that_goes_on_after_an_error_is_found_out() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = worker(&bank, &log).await;
    let run = bank.abide.client().start(carelessly()).await.unwrap();
    let error = run.result().await.unwrap_err();
    assert!(error.to_string().contains("AB0613"), "{error}");
    assert_eq!(bank.cents().await, 100);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_body_for_another_database_is_refused_when_the_worker_starts() {
    #[activity(transactional)]
    async fn elsewhere(tx: &mut sqlx::SqliteConnection) -> Result<(), Failure> {
        tx.execute("SELECT 1").await?;
        Ok(())
    }
    let bank = Bank::new().await;
    let refused = bank.abide.worker("bank").activity(elsewhere).start().await.map(drop).unwrap_err();
    assert_eq!(refused.code(), "AB0611", "{refused}");
}

#[tokio::test]
async fn a_body_runs_by_hand_in_a_unit_test() {
    let bank = Bank::new().await;
    let mut user = bank.user().await;
    let mut tx = user.begin().await.unwrap();
    assert_eq!(debit::body(&mut tx, 1, 2).await.unwrap(), 98);
    tx.rollback().await.unwrap();
    assert_eq!(bank.cents().await, 100);
}
