//! Transactional activities: their SQL and their result are one commit, whatever happens on the way.

use super::support::{Db, Log};
use crate::UserConnection;
use abide::__private::{FaultHook, Stage, StoreFault};
use abide::prelude::*;
use sqlx::{Connection, Executor, Row};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A database with a table of the user's in it.
pub struct Bank {
    pub folder: tempfile::TempDir,
    pub abide: Abide,
}

impl Bank {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(options: impl FnOnce(abide::AbideBuilder) -> abide::AbideBuilder) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let abide = options(Abide::builder(Db::url(&folder))).open().await.unwrap();
        let bank = Self { folder, abide };
        let table = "CREATE TABLE account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL CHECK (cents >= 0));
            INSERT INTO account VALUES (1, 100)";
        bank.user().await.execute(table).await.unwrap();
        bank
    }

    /// A connection of the user's own.
    pub async fn user(&self) -> UserConnection {
        UserConnection::connect(&Db::url(&self.folder)).await.unwrap()
    }

    pub async fn cents(&self) -> i64 {
        self.user().await.fetch_one("SELECT cents FROM account").await.unwrap().get(0)
    }

    pub async fn worker(&self, log: &Log) -> abide::Worker {
        let builder = self.abide.worker("bank").workflow(pay).workflow(pay_twice);
        let teller = Teller { log: log.clone(), abide: self.abide.clone() };
        let grace = Duration::from_millis(100);
        builder.activity(debit).activities(teller).shutdown_grace(grace).start().await.unwrap()
    }
}

/// Takes from an account, and gives what is left.
#[activity(transactional, start_to_close = "20s", retry(initial_interval = "5ms", max_attempts = 3))]
pub async fn debit(tx: &mut UserConnection, account: i64, cents: i64) -> Result<i64, Failure> {
    let left = "UPDATE account SET cents = cents - $2 WHERE id = $1 RETURNING cents";
    Ok(sqlx::query_scalar(left).bind(account).bind(cents).fetch_one(tx).await?)
}

pub struct Teller {
    pub log: Log,
    pub abide: Abide,
}

#[activity]
impl Teller {
    /// Debits, and then does what it is told.
    #[activity(transactional, retry(initial_interval = "5ms", max_attempts = 2))]
    pub async fn act(&self, tx: &mut UserConnection, then: String) -> Result<i64, Failure> {
        let attempt = abide::activity::context().attempt();
        self.log.add(format!("{then} {attempt}"));
        let left = debit::body(&mut *tx, 1, 10).await?;
        match (then.as_str(), attempt) {
            ("fail once", 1) | ("fail", _) => return Err(Failure::new("after its SQL")),
            ("panic once", 1) => panic!("after its SQL"),
            ("hang once", 1) => std::future::pending().await,
            ("wait", _) => abide::activity::context().cancelled().await,
            ("call", _) => return Err(Failure::new(self.call().await)),
            ("commit", _) => {
                tx.execute("COMMIT").await?;
            }
            ("savepoint", _) => {
                let mut within = tx.begin().await?;
                debit::body(&mut within, 1, 50).await?;
                within.rollback().await?;
            }
            ("start", _) => {
                let client = self.abide.client().task_queue("elsewhere");
                client.start(pay(1, 1)).id("from-inside").within(tx).await?;
            }
            _ => {}
        }
        Ok(left)
    }

    /// Calls the engine, as one must not inside; the codes that come back.
    async fn calls(&self) -> String {
        self.call().await
    }
}

impl Teller {
    async fn call(&self) -> String {
        let client = self.abide.client();
        let codes = [
            client.start(pay(1, 1)).await.unwrap_err().code(),
            client.execution("none").cancel("no").await.unwrap_err().code(),
            client.execution("none").terminate("no").await.unwrap_err().code(),
            client.execution("none").resume().await.unwrap_err().code(),
        ];
        codes.join(" ")
    }
}

#[workflow]
pub async fn pay(account: i64, cents: i64) -> Result<i64, ActivityError<Failure>> {
    debit(account, cents).await
}

#[workflow]
pub async fn pay_twice(then: String, limit_ms: u64) -> Result<i64, ActivityError<Failure>> {
    let call = Teller::act(then).start_to_close(Duration::from_millis(limit_ms));
    call.await?;
    debit(1, 1).await
}

pub const LONG: u64 = 20_000;

pub fn text(result: Result<i64, WorkflowError<ActivityError<Failure>>>) -> String {
    result.map_or_else(|error| error.to_string(), |left| left.to_string())
}

#[tokio::test]
async fn rows_and_result_are_one() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = bank.worker(&log).await;
    let before = bank.abide.metrics();
    let run = bank.abide.client().start(pay(1, 30)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 70);
    assert_eq!(bank.cents().await, 70);
    // The start with the token, and the close that takes the outcome in; between them, the transaction.
    let after = bank.abide.metrics();
    assert_eq!((after.batches - before.batches, after.appends - before.appends), (2, 2));
    let tasks =
        if crate::ON_POSTGRES { "SELECT count(*) FROM abide.task" } else { "SELECT count(*) FROM task" };
    let left: i64 = bank.user().await.fetch_one(tasks).await.unwrap().get(0);
    assert_eq!(left, 0, "no token is left");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_does_not_end_well_is_rolled_back() {
    for then in ["fail once", "panic once", "hang once", "savepoint"] {
        let (bank, log) = (Bank::new().await, Log::default());
        let worker = bank.worker(&log).await;
        let limit = if then == "hang once" { 300 } else { LONG };
        let run = bank.abide.client().start(pay_twice(then.to_owned(), limit)).await.unwrap();
        assert_eq!(text(run.result().await), "89", "{then}: once, and one");
        assert_eq!(bank.cents().await, 89, "{then}");
        assert_eq!(log.lines().len(), if then == "savepoint" { 1 } else { 2 }, "{then}");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_error_of_a_statement_is_the_bodys_error() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay(1, 500)).await.unwrap();
    assert!(
        text(run.result().await).to_lowercase().contains("check constraint"),
        "three attempts, and the last one's"
    );
    let run = bank.abide.client().start(pay_twice("fail".to_owned(), LONG)).await.unwrap();
    assert!(text(run.result().await).contains("after its SQL"));
    assert_eq!((bank.cents().await, log.lines().len()), (100, 2));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_start_from_inside_goes_with_the_transaction() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay_twice("start".to_owned(), LONG)).await.unwrap();
    assert_eq!(text(run.result().await), "89");
    let started = bank.abide.client().execution("from-inside").describe().await.unwrap();
    assert_eq!(started.status, ExecutionStatus::Running);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_body_that_commits_by_itself_is_not_run_again() {
    let (bank, log) = (Bank::new().await, Log::default());
    let worker = bank.worker(&log).await;
    let run = bank.abide.client().start(pay_twice("commit".to_owned(), LONG)).await.unwrap();
    assert!(text(run.result().await).contains("AB0613"));
    assert_eq!((bank.cents().await, log.lines().len()), (90, 1));
    worker.shutdown().await.unwrap();
}

/// Where the end of the time and the commit come together, one of them wins: what the workflow sees is what is there.
#[tokio::test]
async fn a_time_limit_and_a_commit_do_not_both_win() {
    for ms in (0..12).map(|n| n * 3) {
        let (bank, log) = (Bank::new().await, Log::default());
        let worker = bank.worker(&log).await;
        let call = pay_twice("nothing".to_owned(), 1 + ms);
        let run = bank.abide.client().start(call).await.unwrap();
        let result = run.result().await;
        let paid = if result.is_ok() { 11 } else { 0 };
        assert_eq!(bank.cents().await, 100 - paid, "{ms} ms: {}", text(result));
        worker.shutdown().await.unwrap();
    }
}

fn faults(at: Stage, fault: StoreFault, times: u32) -> (Arc<AtomicU32>, FaultHook) {
    let left = Arc::new(AtomicU32::new(times));
    let counts = Arc::clone(&left);
    let hook: FaultHook = Arc::new(move |stage| {
        let some = |left: u32| left.checked_sub(1);
        let hit = stage == at && counts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, some).is_ok();
        hit.then_some(fault)
    });
    (left, hook)
}

#[tokio::test]
async fn a_commit_that_others_were_in_the_way_of_is_no_attempt() {
    for at in [Stage::AttemptBegins, Stage::AttemptEnds, Stage::FencePassed] {
        let (left, hook) = faults(at, StoreFault::Busy, 3);
        let (bank, log) = (Bank::with(|builder| builder.fault(hook)).await, Log::default());
        let worker = bank.worker(&log).await;
        let run = bank.abide.client().start(pay_twice("nothing".to_owned(), LONG)).await.unwrap();
        assert_eq!((text(run.result().await).as_str(), left.load(Ordering::SeqCst)), ("89", 0), "{at:?}");
        assert_eq!(bank.cents().await, 89);
        assert!(log.lines().iter().all(|line| line == "nothing 1"), "{:?}", log.lines());
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_of_which_nobody_knows_is_told_by_its_token() {
    for at in [Stage::FencePassed, Stage::AttemptCommitted] {
        let (left, hook) = faults(at, StoreFault::Lost, 1);
        let (bank, log) = (Bank::with(|builder| builder.fault(hook)).await, Log::default());
        let worker = bank.worker(&log).await;
        let run = bank.abide.client().start(pay_twice("nothing".to_owned(), LONG)).await.unwrap();
        assert_eq!((text(run.result().await).as_str(), left.load(Ordering::SeqCst)), ("89", 0), "{at:?}");
        assert_eq!(bank.cents().await, 89, "{at:?}");
        // The same attempt again: had its commit happened, the second finds no token and changes nothing, and
        // its outcome may be taken in before it begins.
        let lines = log.lines();
        let least = if at == Stage::FencePassed { 2 } else { 1 };
        assert!((least..=2).contains(&lines.len()), "{at:?}: {lines:?}");
        assert!(lines.iter().all(|line| line == "nothing 1"), "{at:?}: {lines:?}");
        worker.shutdown().await.unwrap();
    }
}
