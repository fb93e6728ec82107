//! What only SQLite's transactions have: one write lock, which the writer releases for a while.

use super::*;
use crate::store::conformance::transactions::{BOOK, RUNNING, User, begun, book, scheduled, state};
use crate::store::conformance::{Lab, Process};
use crate::store::{AppendOutcome, INSIDE, SendAnswer, StartAnswer, UserConnection};
use abide_core::ExecutionId;
use sqlx::{Connection, Executor, SqliteConnection};
use std::time::Duration;

async fn opened(lab: &Lab, options: OpenOptions) -> Process {
    Process::of(open(&lab.file(), options).await.unwrap()).await
}

#[tokio::test]
async fn the_writer_waits_for_it_and_everything_waits_for_the_writer() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    let key = scheduled(&process).await;
    let transaction = begun(&process, key).await;
    let append = process.submit(process.turn(key.execution, 2, 1));
    let message = process.send(key.execution, "s");
    tokio::pin!(append, message);
    let early = tokio::time::timeout(Duration::from_millis(100), futures_of(&mut append, &mut message)).await;
    assert!(early.is_err(), "nothing else is written meanwhile");
    assert!(transaction.complete("{}".to_owned()).await.unwrap());
    assert!(matches!(append.await.unwrap(), Ok(AppendOutcome::Done)));
    assert_eq!(message.await, SendAnswer::Sent);
}

async fn futures_of<A: Future + Unpin, B: Future + Unpin>(a: A, b: B) {
    tokio::select! { _ = a => {}, _ = b => {} }
}

#[tokio::test]
async fn it_is_cut_off_after_its_time() {
    let lab = Lab::sqlite();
    let attempt_limit = Duration::from_millis(200);
    let process = opened(&lab, OpenOptions { attempt_limit, ..OpenOptions::default() }).await;
    let mut user = User::of(&lab).await;
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    let error = transaction.cut_off().await;
    assert_eq!(error.code(), "AB0612");
    assert_eq!(transaction.complete("{}".to_owned()).await.unwrap_err().code(), "AB0612");
    assert_eq!(state(&mut user).await, RUNNING);

    // A statement that does not end is interrupted as well.
    let mut transaction = begun(&process, key).await;
    let connection = transaction.connection().into_typed::<SqliteConnection>().unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let interrupted = connection.fetch_one(endless).await;
    assert!(interrupted.is_err());
    drop(transaction);
    assert_eq!(process.send(key.execution, "s").await, SendAnswer::Sent);
}

#[tokio::test]
async fn from_inside_the_writer_is_not_called() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    let elsewhere = Lab::sqlite();
    let other = elsewhere.process().await;
    let key = scheduled(&process).await;
    let transaction = begun(&process, key).await;
    let inside = INSIDE.scope(transaction.holds(), async {
        let there = other.new_execution("other");
        assert!(
            matches!(other.store.start(there).await, Ok(StartAnswer::Started)),
            "another database is free"
        );
        process.store.send(process.message(key.execution, "s")).await
    });
    assert_eq!(inside.await.unwrap_err().code(), "AB0609");
}

#[tokio::test]
async fn an_error_within_leaves_the_users_transaction_as_it_was() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    User::of(&lab).await;
    let mut user = SqliteConnection::connect(&lab.url()).await.unwrap();
    let mut tx = user.begin().await.unwrap();
    // It reads; then another session writes; then it cannot write any more.
    let _: Vec<_> = tx.fetch_all("SELECT * FROM booked").await.unwrap();
    let id = process.running("w").await;
    let sent = process.store.send_within(UserConnection::Sqlite(&mut tx), process.message(id, "s")).await;
    assert_eq!(sent.unwrap_err().code(), "AB0515");
    tx.rollback().await.unwrap();
    let mut tx = user.begin().await.unwrap();
    let nobody = process.message(ExecutionId(1), "s");
    let sent = process.store.send_within(UserConnection::Sqlite(&mut tx), nobody).await;
    assert_eq!(sent.unwrap(), SendAnswer::NoSuchExecution);
    tx.execute(BOOK).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(User::of(&lab).await.number("SELECT count(*) FROM booked").await, 1);
}
