//! Signals that were acknowledged before the first turn are handled before `run` is first polled: live, after an
//! eviction, and in a test environment.

use super::ends::reason;
use super::support::{Db, eventually};
use abide::history::Event;
use abide::prelude::*;
use abide::testing::TestEnv;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps what it was told; its result is what it had been told when `run` began.
#[derive(Default)]
struct Told {
    all: Vec<String>,
    open: bool,
}

#[workflow]
impl Told {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let first = self.all.clone();
        workflow::shielded(async {
            workflow::until!(self.open).await;
        })
        .await;
        first
    }

    #[signal]
    fn tell(&mut self, what: String) {
        self.all.push(what);
    }

    /// What it does before its first await comes before `run` as well.
    #[signal]
    async fn tell_twice(&mut self, what: String) {
        self.all.push(format!("{what} once"));
        workflow::sleep(std::time::Duration::from_millis(1)).await;
        self.all.push(format!("{what} twice"));
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn all(&self) -> Vec<String> {
        self.all.clone()
    }
}

/// A start and five signals, which are all acknowledged; one of them has no handler.
async fn start_and_tell(client: &Client) -> Handle<Told> {
    let run = client.start(Told::run()).task_queue("early").await.unwrap();
    run.tell("a".into()).await.unwrap();
    run.tell_twice("b".into()).await.unwrap();
    client.handle::<Other>(run.id()).ring().await.unwrap();
    run.tell("c".into()).request_id("c").await.unwrap();
    run.tell("d".into()).await.unwrap();
    run.tell("c".into()).request_id("c").await.unwrap();
    run
}

/// A workflow with a signal that `Told` does not have.
#[derive(Default)]
struct Other;

#[workflow(name = "Told")]
impl Other {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn ring(&mut self) {}
}

const FIRST: [&str; 4] = ["a", "b once", "c", "d"];

async fn early(run: &Handle<Told>) -> u32 {
    match run.history().await.unwrap().first().map(|row| row.events[0].clone()) {
        Some(Event::Started { early, .. }) => early,
        other => panic!("{other:?}"),
    }
}

async fn is_told(run: &Handle<Told>) {
    eventually("all is told", async || run.all().await.is_ok_and(|all| all.len() == 5)).await;
}

#[tokio::test]
async fn signals_before_the_first_worker_come_before_run() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let run = start_and_tell(&db.client()).await;
        let worker = db.abide.worker("early").workflow(Told::run).cache_bytes(cache_bytes);
        let worker = worker.start().await.unwrap();
        is_told(&run).await;
        // The handler that sleeps is the last one to go on.
        assert_eq!(run.all().await.unwrap(), [&FIRST[..], &["b twice"]].concat());
        assert_eq!(early(&run).await, 5);
        run.open().await.unwrap();
        assert_eq!(run.result().await.unwrap(), FIRST);
        assert_eq!(run.all().await.unwrap().len(), 5, "a replay of the closed run says the same");
        worker.shutdown().await.unwrap();
    }
}

/// The start, the signals and the worker are in one process, and the worker begins while they come: what is
/// there when the first turn is made comes first, whatever that is.
#[tokio::test]
async fn what_is_there_at_the_first_turn_is_what_run_sees() {
    let db = Db::new().await;
    let client = db.client();
    let (run, worker) = tokio::join!(start_and_tell(&client), async {
        tokio::task::yield_now().await;
        db.abide.worker("early").workflow(Told::run).start().await.unwrap()
    });
    is_told(&run).await;
    run.open().await.unwrap();
    let counted = early(&run).await as usize;
    let seen = run.result().await.unwrap();
    // One of the five has no handler.
    let handled = if counted > 2 { counted - 1 } else { counted };
    assert_eq!(seen, FIRST[..handled], "{counted} signals came early");
    worker.shutdown().await.unwrap();
}

/// Cancelled before it began: `run` is polled once, with all signals, and finishes what is shielded.
#[tokio::test]
async fn a_cancel_among_the_signals_comes_after_the_first_poll() {
    let db = Db::new().await;
    let client = db.client();
    let run = client.start(Told::run()).task_queue("early").await.unwrap();
    run.tell("a".into()).await.unwrap();
    run.cancel("enough").await.unwrap();
    run.tell("b".into()).await.unwrap();
    let worker = db.abide.worker("early").workflow(Told::run).start().await.unwrap();
    eventually("it is told", async || run.all().await.is_ok_and(|all| all == ["a", "b"])).await;
    assert!(run.describe().await.unwrap().status.is_open(), "its shielded block has begun");
    assert_eq!(early(&run).await, 2);
    worker.shutdown().await.unwrap();
    let worker = db.abide.worker("early").workflow(Told::run).start().await.unwrap();
    run.open().await.unwrap();
    let error = run.result().await.unwrap_err();
    assert!(matches!(error.into_end(), WorkflowError::Cancelled));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_a_test_environment_as_well() {
    let env = TestEnv::start().await.unwrap();
    let run = start_and_tell(&env.client()).await;
    let worker = env.worker("early").workflow(Told::run).start().await.unwrap();
    run.open().await.unwrap();
    assert_eq!(run.result().await.unwrap(), FIRST);
    assert!(early(&run).await >= 5, "the last one may have come before the first turn");
    worker.shutdown().await.unwrap();
}

/// Whether the code is still wrong.
static WRONG: AtomicBool = AtomicBool::new(true);

#[activity(retry(max_attempts = 1))]
async fn once() -> u32 {
    7
}

/// Its first handler calls an activity, and the second panics: in the same turn.
#[derive(Default)]
struct Halts {
    ended: Option<String>,
    open: bool,
}

#[workflow]
impl Halts {
    #[run]
    async fn run(&mut self) -> String {
        workflow::until!(self.open && self.ended.is_some()).await;
        self.ended.clone().unwrap_or_default()
    }

    #[signal]
    async fn work(&mut self) {
        self.ended = Some(format!("{:?}", once().await));
    }

    #[signal]
    fn open(&mut self) {
        assert!(!workflow::allow!("the bug under test", WRONG.load(Ordering::SeqCst)), "wrong");
        self.open = true;
    }
}

#[tokio::test]
async fn an_activity_of_a_turn_that_was_suspended_runs() {
    let db = Db::new().await;
    let run = db.client().start(Halts::run()).task_queue("early").await.unwrap();
    run.work().await.unwrap();
    run.open().await.unwrap();
    let worker = db.abide.worker("early").workflow(Halts::run).activity(once).start().await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0202");
    WRONG.store(false, Ordering::SeqCst);
    run.resume().await.unwrap();
    assert_eq!(run.result().await.unwrap(), "Ok(7)", "its only attempt has run");
    worker.shutdown().await.unwrap();
}
