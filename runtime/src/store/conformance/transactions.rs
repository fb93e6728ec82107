//! The user's SQL and the engine's in one transaction: an attempt's (PROTOCOL 22), and a client's.

use super::*;
use crate::store::transaction::may_succeed_again;
use sqlx::{Connection, Executor, Row, SqliteConnection};
use std::sync::Mutex;

/// The user's own connection, and a table of the user's.
async fn user(lab: &Lab) -> SqliteConnection {
    let mut user = SqliteConnection::connect(&lab.url()).await.unwrap();
    user.execute("CREATE TABLE IF NOT EXISTS booked (n INTEGER PRIMARY KEY)").await.unwrap();
    user
}

async fn number(user: &mut SqliteConnection, query: &'static str) -> i64 {
    user.fetch_one(query).await.unwrap().get(0)
}

/// What is in of one attempt: the user's rows, tokens, outcomes.
async fn state(user: &mut SqliteConnection) -> (i64, i64, i64) {
    let booked = number(user, "SELECT count(*) FROM booked").await;
    let tokens = number(user, "SELECT count(*) FROM task").await;
    (booked, tokens, number(user, "SELECT count(*) FROM inbox").await)
}

const RUNNING: (i64, i64, i64) = (0, 1, 0);
const DONE: (i64, i64, i64) = (1, 0, 1);

/// A running execution with a scheduled transactional activity.
async fn scheduled(process: &Process) -> TaskKey {
    let new = process.new_execution(&format!("w-{}", process.store.execution_id()));
    let (execution, activity) = (new.id, EventId(1));
    let token = NewTask {
        activity,
        attempt: 1,
        queue: None,
        name: "debit".to_owned(),
        input: String::new(),
        limits: "{}".to_owned(),
        run_at_ms: 0,
        start_by_ms: None,
        close_by_ms: None,
    };
    let append = Append { tasks: vec![TaskChange::Insert(token)], ..process.create(new) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    TaskKey { execution, activity, attempt: 1 }
}

async fn begun(process: &Process, key: TaskKey) -> Box<dyn AttemptTransaction> {
    process.store.begin_attempt(process.me, key).await.unwrap()
}

/// What a body does.
async fn book(transaction: &mut Box<dyn AttemptTransaction>, sql: &'static str) {
    let connection = transaction.connection().into_typed::<SqliteConnection>().unwrap();
    connection.execute(sql).await.unwrap();
}

const BOOK: &str = "INSERT INTO booked VALUES (1)";

#[tokio::test]
async fn rows_and_outcome_are_one() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    assert_eq!(state(&mut user).await, RUNNING, "nobody sees it before its end");
    assert!(transaction.complete("{}".to_owned()).await.unwrap());
    assert_eq!(state(&mut user).await, DONE);
    let rows = process.store.inbox_of(key.execution).await.unwrap();
    assert_eq!((rows[0].kind, rows[0].request_id.as_str()), (MessageKind::Attempt, "attempt/1/1"));
}

#[tokio::test]
async fn without_an_end_nothing_is_in_and_the_writer_goes_on() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let key = scheduled(&process).await;
    for drops in [true, false] {
        let mut transaction = begun(&process, key).await;
        book(&mut transaction, BOOK).await;
        match drops {
            true => drop(transaction),
            false => transaction.roll_back().await.unwrap(),
        }
        assert_eq!(process.send(key.execution, &format!("s-{drops}")).await, SendAnswer::Sent);
    }
    assert_eq!(state(&mut user).await, (0, 1, 2));
}

#[tokio::test]
async fn the_writer_waits_for_it_and_everything_waits_for_the_writer() {
    let lab = Lab::new();
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
async fn whoever_takes_the_token_first_has_decided() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let key = scheduled(&process).await;
    let settle = TaskChange::Settle { activity: key.activity, attempt: 1 };
    let settle = Append { tasks: vec![settle], ..process.turn(key.execution, 2, 1) };
    assert!(matches!(process.append(settle.clone()).await, Ok(AppendOutcome::Done)));
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    assert!(!transaction.complete("{}".to_owned()).await.unwrap());
    assert_eq!(state(&mut user).await, (0, 0, 0));

    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    // Queued behind the transaction.
    let settle = process.submit(Append { execution: key.execution, ..settle });
    assert!(transaction.complete("{}".to_owned()).await.unwrap());
    assert!(matches!(settle.await.unwrap(), Ok(AppendOutcome::Conflict)));
    assert_eq!(state(&mut user).await, DONE);
}

#[tokio::test]
async fn a_worker_that_was_taken_over_commits_nothing() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let key = scheduled(&process).await;
    user.execute("DELETE FROM lease").await.unwrap();
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    assert!(matches!(transaction.complete("{}".to_owned()).await, Err(StoreError::Fenced)));
    assert_eq!(state(&mut user).await, RUNNING);
}

#[tokio::test]
async fn it_is_cut_off_after_its_time() {
    let lab = Lab::new();
    let attempt_limit = Duration::from_millis(200);
    let process = lab.process_with(sqlite::OpenOptions { attempt_limit, ..Default::default() }).await;
    let mut user = user(&lab).await;
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    let error = transaction.cut_off().await;
    assert_eq!(error.code(), "AB0612");
    assert_eq!(transaction.complete("{}".to_owned()).await.unwrap_err().code(), "AB0612");
    assert_eq!(state(&mut user).await, RUNNING);

    // A statement that does not end is broken off as well.
    let mut transaction = begun(&process, key).await;
    let connection = transaction.connection().into_typed::<SqliteConnection>().unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let interrupted = connection.fetch_one(endless).await;
    assert!(interrupted.is_err());
    drop(transaction);
    assert_eq!(process.send(key.execution, "s").await, SendAnswer::Sent);
}

#[tokio::test]
async fn a_body_that_ends_the_transaction_is_found_out() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"] {
        user.execute("DELETE FROM booked; DELETE FROM task").await.unwrap();
        let key = scheduled(&process).await;
        let mut transaction = begun(&process, key).await;
        book(&mut transaction, BOOK).await;
        book(&mut transaction, end).await;
        let error = transaction.complete("{}".to_owned()).await.unwrap_err();
        assert_eq!(error.code(), "AB0613", "{end}: {error}");
        assert_eq!(state(&mut user).await, (i64::from(end != "ROLLBACK"), 1, 0), "{end}");
    }
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_end_refuses_the_commit() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let table = "CREATE TABLE line (n INTEGER REFERENCES booked (n) DEFERRABLE INITIALLY DEFERRED)";
    user.execute(table).await.unwrap();
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, "INSERT INTO line VALUES (7)").await;
    let error = transaction.complete("{}".to_owned()).await.unwrap_err();
    assert_eq!(error.code(), "AB0614", "{error}");
    assert_eq!(state(&mut user).await, RUNNING);
    assert_eq!(process.send(key.execution, "s").await, SendAnswer::Sent, "the writer goes on");
}

#[tokio::test]
async fn whatever_fails_on_the_way_is_all_or_nothing() {
    let stages = [Stage::AttemptEnds, Stage::TokenTaken, Stage::OutcomeKept, Stage::FencePassed];
    for (stage, fault) in stages.iter().flat_map(|stage| [(*stage, Fault::Lost), (*stage, Fault::Busy)]) {
        check_fault(stage, fault, RUNNING).await;
    }
    check_fault(Stage::AttemptCommitted, Fault::Lost, DONE).await;
}

async fn check_fault(at: Stage, fault: Fault, left: (i64, i64, i64)) {
    let lab = Lab::new();
    let armed = Arc::new(Mutex::new(false));
    let asked = Arc::clone(&armed);
    let hook: FaultHook = Arc::new(move |stage| (stage == at && *asked.lock().unwrap()).then_some(fault));
    let process = lab.process_with(sqlite::OpenOptions { fault: Some(hook), ..Default::default() }).await;
    let mut user = user(&lab).await;
    let key = scheduled(&process).await;
    *armed.lock().unwrap() = true;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    let error = transaction.complete("{}".to_owned()).await.unwrap_err();
    assert_eq!(may_succeed_again(&error), fault == Fault::Busy, "{at:?} {error}");
    assert_eq!(state(&mut user).await, left, "{at:?} {fault:?}");
}

#[tokio::test]
async fn from_inside_the_writer_is_not_called() {
    let lab = Lab::new();
    let process = lab.process().await;
    let elsewhere = Lab::new();
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
async fn what_a_client_writes_within_happens_if_the_user_commits() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    for commits in [false, true] {
        let mut tx = user.begin_with("BEGIN IMMEDIATE").await.unwrap();
        tx.execute(BOOK).await.unwrap();
        let new = NewExecution { id: process.store.execution_id(), ..process.new_execution("w") };
        let id = new.id;
        let started = process.store.start_within(UserConnection::Sqlite(&mut tx), new.clone()).await;
        assert!(matches!(started, Ok(StartAnswer::Started)));
        let again = process.store.start_within(UserConnection::Sqlite(&mut tx), new).await;
        assert!(matches!(again, Ok(StartAnswer::Known(_))), "request ids hold inside as well");
        for answer in [SendAnswer::Sent, SendAnswer::Known] {
            let message = process.message(id, "s");
            let sent = process.store.send_within(UserConnection::Sqlite(&mut tx), message).await;
            assert_eq!(sent.unwrap(), answer);
        }
        assert!(process.store.find(Find::Execution(id)).await.unwrap().is_none());
        let mut changes = process.store.changes();
        changes.mark_unchanged();
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        if commits {
            tokio::time::timeout(Duration::from_secs(5), changes.changed()).await.unwrap().unwrap();
        }
        assert_eq!(process.store.find(Find::Execution(id)).await.unwrap().is_some(), commits);
        assert_eq!(process.store.inbox_of(id).await.unwrap().len(), usize::from(commits));
    }
    assert_eq!(ids(&process.claim().await).len(), 1, "any worker may have it");
}

#[tokio::test]
async fn an_error_within_leaves_the_users_transaction_as_it_was() {
    let lab = Lab::new();
    let (process, mut user) = (lab.process().await, user(&lab).await);
    let mut tx = user.begin().await.unwrap();
    // It reads; then another writes; then it cannot write any more.
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
    assert_eq!(number(&mut user, "SELECT count(*) FROM booked").await, 1);
}

#[tokio::test]
async fn a_connection_of_another_database_is_refused() {
    let (lab, elsewhere) = (Lab::new(), Lab::new());
    let process = lab.process().await;
    drop(elsewhere.process().await);
    let mut other = user(&elsewhere).await;
    let new = process.new_execution("w");
    let refused = process.store.start_within(UserConnection::Sqlite(&mut other), new.clone()).await;
    assert_eq!(refused.unwrap_err().code(), "AB0516");
    let mut memory = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    let refused = process.store.start_within(UserConnection::Sqlite(&mut memory), new).await;
    assert_eq!(refused.unwrap_err().code(), "AB0516");
}
