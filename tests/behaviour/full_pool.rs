//! More is asked at once than `max_connections` lets through to the server: what comes too much waits, then
//! says so, and loses nothing.

use super::support::eventually;
use super::transactions::*;
use abide::prelude::*;
use sqlx::{Connection, Executor, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Shorter than anything waits here.
const PATIENCE: Duration = Duration::from_millis(200);

async fn narrow() -> Bank {
    Bank::with(|builder| builder.max_connections(1).busy_timeout(PATIENCE)).await
}

/// Holds the one connection for transactions, until it is let go.
struct Holder {
    holds: Arc<AtomicUsize>,
    go: Arc<Semaphore>,
}

#[activity]
impl Holder {
    #[activity(transactional)]
    async fn hold(&self, tx: &mut PgConnection) -> Result<i64, Failure> {
        self.holds.fetch_add(1, Ordering::SeqCst);
        self.go.acquire().await.expect("it is never closed").forget();
        debit::body(tx, 1, 10).await
    }
}

#[workflow]
async fn holds() -> Result<i64, ActivityError<Failure>> {
    Holder::hold().await
}

#[tokio::test]
async fn transactional_activities_wait_for_a_connection_and_lose_no_attempt() {
    let bank = narrow().await;
    let (held, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let holder = Holder { holds: Arc::clone(&held), go: Arc::clone(&go) };
    let worker = bank.abide.worker("bank").workflow(holds).activities(holder).start().await.unwrap();
    let client = bank.abide.client();
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(client.start(holds()).await.unwrap());
    }
    eventually("one has the connection", async || held.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(4 * PATIENCE).await;
    assert_eq!(held.load(Ordering::SeqCst), 1, "the others have none");
    for run in &runs {
        let pending = run.describe().await.unwrap().pending_activities;
        assert!(pending.iter().all(|activity| activity.attempt == 1), "{pending:?}");
    }
    go.add_permits(5);
    for run in &runs {
        run.result().await.unwrap();
    }
    assert_eq!(bank.cents().await, 50);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_call_that_finds_none_free_says_so_and_can_be_repeated() {
    let bank = narrow().await;
    let client = bank.abide.client().task_queue("bank");
    let run = client.start(pay(1, 1)).id("held").await.unwrap();
    // Another session locks its row: a call that sends it a message waits, and keeps its connection.
    let mut other = bank.user().await;
    let mut lock = other.begin().await.unwrap();
    lock.execute("SELECT FROM abide.execution WHERE workflow_id = 'held' FOR UPDATE").await.unwrap();
    let cancelling = tokio::spawn(async move { run.cancel("no more").await });
    let mut looker = bank.user().await;
    eventually("the cancel waits for the lock", async || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'abide calls' AND wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looker).await.unwrap() == 1
    })
    .await;

    let refused = client.start(pay(1, 2)).id("late").await.expect_err("no connection is free");
    assert_eq!(refused.code(), "AB0517", "{refused}");
    assert!(refused.to_string().contains("connections were busy"), "{refused}");

    lock.rollback().await.unwrap();
    cancelling.await.unwrap().expect("it has only waited");
    client.start(pay(1, 2)).id("late").await.unwrap();
}
