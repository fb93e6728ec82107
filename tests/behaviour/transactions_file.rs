//! Transactional activities on SQLite: one write lock, which the engine gives away for a while.

use super::support::{Log, eventually};
use super::transactions::*;
use abide::prelude::*;
use sqlx::{Connection, Executor, SqliteConnection};
use std::time::Duration;

#[tokio::test]
async fn a_body_runs_by_hand_in_a_unit_test() {
    let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    connection.execute("CREATE TABLE account (id, cents); INSERT INTO account VALUES (1, 5)").await.unwrap();
    assert_eq!(debit::body(&mut connection, 1, 2).await.unwrap(), 3);
    let bank = Bank::new().await;
    let teller = Teller { log: Log::default(), abide: bank.abide.clone() };
    let mut tx = bank.user().await;
    assert_eq!(teller.act(&mut tx, "nothing".to_owned()).await.unwrap(), 90);
}

#[tokio::test]
async fn a_call_of_the_engine_from_inside_is_refused_at_once() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay_twice("call".to_owned(), LONG)).await.unwrap();
    let said = text(run.result().await);
    assert!(said.contains("AB0609 AB0609 AB0609 AB0406"), "a look at an id is free: {said}");
    assert_eq!(bank.cents().await, 100);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_lasts_too_long_is_cut_off() {
    let (bank, log) = (Bank::with(|b| b.attempt_limit(Duration::from_millis(200))).await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay_twice("wait".to_owned(), LONG)).await.unwrap();
    let started = std::time::Instant::now();
    let error = run.result().await.unwrap_err();
    assert!(
        matches!(
            error,
            WorkflowError::Failed(ActivityError::TimedOut { kind: TimeoutKind::StartToClose, .. })
        ),
        "{error}"
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!((bank.cents().await, log.lines()), (100, vec!["wait 1".to_owned(), "wait 2".to_owned()]));
    worker.shutdown().await.unwrap();
}

/// The cancel has to be written, and waits for the transaction as all writing does; a shutdown does not.
#[tokio::test]
async fn a_cancel_and_a_shutdown_roll_it_back() {
    let (bank, log) = (Bank::with(|b| b.attempt_limit(Duration::from_millis(600))).await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay_twice("wait".to_owned(), LONG)).await.unwrap();
    eventually("it runs", async || !log.lines().is_empty()).await;
    run.cancel("no more").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    let run = bank.abide.client().start(pay_twice("hang once".to_owned(), LONG)).await.unwrap();
    eventually("it runs", async || log.lines().len() == 2).await;
    worker.shutdown().await.unwrap();
    assert_eq!(bank.cents().await, 100);
    let worker = bank.worker(&log).await;
    assert_eq!(text(run.result().await), "89");
    assert_eq!(bank.cents().await, 89);
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn waits() -> Result<(), Failure> {
    workflow::sleep(days(1)).await;
    Ok(())
}

#[tokio::test]
async fn a_deferred_transaction_that_has_read_an_old_state_is_told_so() {
    let bank = Bank::new().await;
    let worker = bank.abide.worker("bank").workflow(waits).start().await.unwrap();
    let (client, mut user) = (bank.abide.client(), bank.user().await);
    let mut tx = user.begin().await.unwrap();
    tx.execute("SELECT count(*) FROM execution").await.unwrap();
    let open = client.start(waits()).await.unwrap();
    // Another's write lock is told first, while it lasts (AB0503).
    let refused = loop {
        let code = open.cancel("no").within(&mut *tx).await.unwrap_err().code();
        if code != "AB0503" {
            break code;
        }
    };
    assert_eq!(refused, "AB0515");
    drop(tx);
    open.cancel("now").await.unwrap();
    assert!(matches!(open.result().await, Err(WorkflowError::Cancelled)));
    worker.shutdown().await.unwrap();
}
