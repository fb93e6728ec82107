//! The user's SQL and the engine's in one transaction: an attempt's (PROTOCOL 22), and a client's.

use super::*;
use crate::store::transaction::may_succeed_again;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use std::sync::Mutex;

/// The user's own connection.
pub(crate) enum User {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl User {
    /// With a user's table.
    pub(crate) async fn of(lab: &Lab) -> Self {
        let mut user = match lab {
            Lab::Sqlite(_) => Self::Sqlite(SqliteConnection::connect(&lab.url()).await.unwrap()),
            Lab::Postgres(url) => Self::Postgres(PgConnection::connect(url).await.unwrap()),
            #[cfg(feature = "testing")]
            Lab::Memory(_) | Lab::Slow(_) => panic!("it has no SQL"),
        };
        user.run("CREATE TABLE IF NOT EXISTS booked (n INTEGER PRIMARY KEY)").await;
        user
    }

    /// Runs statements; `{s}` is the prefix of the engine's tables.
    pub(crate) async fn run(&mut self, sql: &str) {
        let sql = self.fill(sql);
        match self {
            Self::Sqlite(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.unwrap()),
            Self::Postgres(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.unwrap()),
        }
    }

    pub(crate) async fn number(&mut self, query: &str) -> i64 {
        let sql = self.fill(query);
        match self {
            Self::Sqlite(connection) => connection.fetch_one(sqlx::raw_sql(sql)).await.unwrap().get(0),
            Self::Postgres(connection) => connection.fetch_one(sqlx::raw_sql(sql)).await.unwrap().get(0),
        }
    }

    pub(crate) fn connection(&mut self) -> UserConnection<'_> {
        match self {
            Self::Sqlite(connection) => UserConnection::Sqlite(connection),
            Self::Postgres(connection) => UserConnection::Postgres(connection),
        }
    }

    fn fill(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(sql.replace("{s}", if matches!(self, Self::Sqlite(_)) { "" } else { "abide." }))
    }
}

/// What was written for one attempt: the user's rows, tokens, outcomes.
pub(crate) async fn state(user: &mut User) -> (i64, i64, i64) {
    let booked = user.number("SELECT count(*) FROM booked").await;
    let tokens = user.number("SELECT count(*) FROM {s}task").await;
    (booked, tokens, user.number("SELECT count(*) FROM {s}inbox").await)
}

pub(crate) const RUNNING: (i64, i64, i64) = (0, 1, 0);
pub(crate) const DONE: (i64, i64, i64) = (1, 0, 1);

/// A running execution with a scheduled transactional activity.
pub(crate) async fn scheduled(process: &Process) -> TaskKey {
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
        details: None,
    };
    let append = Append { tasks: vec![TaskChange::Insert(token)], ..process.create(new) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    TaskKey { execution, activity, attempt: 1, nonce: 0 }
}

pub(crate) async fn begun(process: &Process, key: TaskKey) -> Box<dyn AttemptTransaction> {
    process.store.begin_attempt(process.me, key).await.unwrap()
}

/// What a body does.
pub(crate) async fn book(transaction: &mut Box<dyn AttemptTransaction>, sql: &'static str) {
    match transaction.connection() {
        UserConnection::Sqlite(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.unwrap()),
        UserConnection::Postgres(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.unwrap()),
    }
}

pub(crate) const BOOK: &str = "INSERT INTO booked VALUES (1)";

pub(super) async fn rows_and_outcome_are_one(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    assert_eq!(state(&mut user).await, RUNNING, "nobody sees it before its end");
    assert!(transaction.complete("{}".to_owned()).await.unwrap());
    assert_eq!(state(&mut user).await, DONE);
    let rows = process.run(key.execution).await.inbox;
    assert_eq!((rows[0].kind, rows[0].request_id.as_str()), (MessageKind::Attempt, "attempt/1/1"));
}

pub(super) async fn without_an_end_nothing_is_in_and_the_writer_goes_on(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
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

pub(super) async fn whoever_takes_the_token_first_has_decided(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
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
    let settle = process.submit(Append { execution: key.execution, ..settle });
    let completed = transaction.complete("{}".to_owned()).await.unwrap();
    // On SQLite the append is queued behind the transaction.
    assert!(completed || matches!(lab, Lab::Postgres(_)));
    let conflict = matches!(settle.await.unwrap(), Ok(AppendOutcome::Conflict));
    assert_eq!(completed, conflict, "one of them");
    assert_eq!(state(&mut user).await, if completed { DONE } else { (0, 0, 0) });
}

pub(super) async fn a_worker_that_was_taken_over_commits_nothing(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    let key = scheduled(&process).await;
    user.run("DELETE FROM {s}lease").await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    assert!(matches!(transaction.complete("{}".to_owned()).await, Err(StoreError::Fenced)));
    assert_eq!(state(&mut user).await, RUNNING);
}

pub(super) async fn a_constraint_that_is_checked_at_the_end_refuses_the_commit(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    let table = "CREATE TABLE line (n INTEGER REFERENCES booked (n) DEFERRABLE INITIALLY DEFERRED)";
    user.run(table).await;
    let key = scheduled(&process).await;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, "INSERT INTO line VALUES (7)").await;
    let error = transaction.complete("{}".to_owned()).await.unwrap_err();
    assert_eq!(error.code(), "AB0614", "{error}");
    assert_eq!(state(&mut user).await, RUNNING);
    assert_eq!(process.send(key.execution, "s").await, SendAnswer::Sent, "the writer goes on");
}

pub(super) async fn whatever_fails_on_the_way_is_all_or_nothing(lab: Lab) {
    let stages = [Stage::AttemptEnds, Stage::TokenTaken, Stage::OutcomeKept, Stage::FencePassed];
    for (stage, fault) in stages.iter().flat_map(|stage| [(*stage, Fault::Lost), (*stage, Fault::Busy)]) {
        check_fault(&lab, stage, fault, RUNNING).await;
    }
    check_fault(&lab, Stage::AttemptCommitted, Fault::Lost, DONE).await;
}

async fn check_fault(lab: &Lab, at: Stage, fault: Fault, left: (i64, i64, i64)) {
    let lab = lab.another();
    let armed = Arc::new(Mutex::new(false));
    let asked = Arc::clone(&armed);
    let hook: FaultHook = Arc::new(move |stage| (stage == at && *asked.lock().unwrap()).then_some(fault));
    let process = lab.process_with(Settings { fault: Some(hook), ..Settings::default() }).await;
    let mut user = User::of(&lab).await;
    let key = scheduled(&process).await;
    *armed.lock().unwrap() = true;
    let mut transaction = begun(&process, key).await;
    book(&mut transaction, BOOK).await;
    let error = transaction.complete("{}".to_owned()).await.unwrap_err();
    assert!(may_succeed_again(&error), "{at:?} {error}");
    assert_eq!(state(&mut user).await, left, "{at:?} {fault:?}");
}

pub(super) async fn what_a_client_writes_within_happens_if_the_user_commits(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    for commits in [false, true] {
        user.run("BEGIN").await;
        user.run(BOOK).await;
        let new = NewExecution { id: process.store.execution_id(), ..process.new_execution("w") };
        let id = new.id;
        let started = process.store.start_within(user.connection(), new.clone()).await;
        assert!(matches!(started, Ok(StartAnswer::Started)));
        let again = process.store.start_within(user.connection(), new).await;
        assert!(matches!(again, Ok(StartAnswer::Known(_))), "request ids hold inside as well");
        for answer in [SendAnswer::Sent, SendAnswer::Known] {
            let message = process.message(id, "s");
            let sent = process.store.send_within(user.connection(), message).await;
            assert_eq!(sent.unwrap(), answer);
        }
        assert!(process.store.find(Find::Execution(id)).await.unwrap().is_none());
        user.run(if commits { "COMMIT" } else { "ROLLBACK" }).await;
        assert_eq!(process.store.find(Find::Execution(id)).await.unwrap().is_some(), commits);
        let inbox = process.store.load(id).await.unwrap().map_or_else(Vec::new, |run| run.inbox);
        assert_eq!(inbox.len(), usize::from(commits));
    }
    assert_eq!(ids(&process.claim().await).len(), 1, "any worker may have it");
}

pub(super) async fn messages_of_a_start_go_with_the_users_commit(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    let run = process.running("w").await;
    for (commits, request_id) in [(false, "r"), (true, "r"), (true, "r")] {
        let new = process.new_execution("w");
        let (id, with) = (new.id, vec![process.message(new.id, "m")]);
        let conflict = IdConflictPolicy::UseExisting;
        let new = NewExecution { request_id: Some(request_id.to_owned()), conflict, with, ..new };
        user.run("BEGIN").await;
        let answer = process.store.start_within(user.connection(), new).await.unwrap();
        let (StartAnswer::Existing(row) | StartAnswer::Known(row)) = answer else { panic!("{answer:?}") };
        assert_eq!(row.id, run);
        user.run(if commits { "COMMIT" } else { "ROLLBACK" }).await;
        assert!(process.store.find(Find::Execution(id)).await.unwrap().is_none());
        assert_eq!(process.run(run).await.inbox.len(), usize::from(commits));
    }
}

pub(super) async fn a_body_that_ends_the_transaction_is_found_out(lab: Lab) {
    let (process, mut user) = (lab.process().await, User::of(&lab).await);
    for end in ["COMMIT", "ROLLBACK", "COMMIT; BEGIN"] {
        user.run("DELETE FROM booked; DELETE FROM {s}task").await;
        let key = scheduled(&process).await;
        let mut transaction = begun(&process, key).await;
        book(&mut transaction, BOOK).await;
        book(&mut transaction, end).await;
        let error = transaction.complete("{}".to_owned()).await.unwrap_err();
        assert_eq!(error.code(), "AB0613", "{end}: {error}");
        assert_eq!(state(&mut user).await, (i64::from(end != "ROLLBACK"), 1, 0), "{end}");
    }
}

pub(super) async fn a_connection_of_another_database_is_refused(lab: Lab) {
    let elsewhere = lab.another();
    let process = lab.process().await;
    let other_kind = match lab {
        Lab::Sqlite(_) => Lab::postgres(),
        _ => Lab::sqlite(),
    };
    for lab in [&elsewhere, &other_kind] {
        drop(lab.process().await);
        let mut other = User::of(lab).await;
        let refused = process.store.start_within(other.connection(), process.new_execution("w")).await;
        assert_eq!(refused.unwrap_err().code(), "AB0516");
    }
}
