//! Panics: in a workflow, an activity, a signal handler, a query handler. Each is told with its text, none takes the
//! worker down, and a fixed build goes on where it was.

use super::ends::{reason, refused, says};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

#[workflow(name = "brittle")]
async fn brittle(n: u32) -> Result<u32, Failure> {
    let got = Steps::note(n).await?;
    let missing: Vec<u32> = Vec::new();
    Ok(got + missing[n as usize])
}

#[workflow(name = "brittle")]
async fn mended(n: u32) -> Result<u32, Failure> {
    let got = Steps::note(n).await?;
    Ok(got + Steps::note(n + 1).await?)
}

#[workflow]
async fn brittle_at_once(text: String) -> String {
    panic!("cannot even begin with {text}")
}

#[activity(retry(initial_interval = "10ms", max_attempts = 3))]
async fn panics_until(attempt: u32) -> u32 {
    let now = abide::activity::context().attempt();
    assert!(now >= attempt, "attempt {now} is too early");
    now
}

#[workflow]
async fn calls_panicking(attempt: u32) -> Result<u32, CallError> {
    panics_until(attempt).await
}

#[derive(Default)]
struct Touchy {
    open: bool,
}

#[workflow(name = "touchy")]
impl Touchy {
    #[run]
    async fn run(&mut self) -> bool {
        workflow::until!(self.open).await;
        true
    }

    #[signal]
    fn open(&mut self, how: String) {
        assert!(how == "gently", "opened {how}");
        self.open = true;
    }

    #[query]
    fn peek(&self, deep: bool) -> bool {
        assert!(!deep, "not that deep");
        self.open
    }
}

#[derive(Default)]
struct Patient {
    open: bool,
}

#[workflow(name = "touchy")]
impl Patient {
    #[run]
    async fn run(&mut self) -> bool {
        workflow::until!(self.open).await;
        true
    }

    #[signal]
    fn open(&mut self, how: String) {
        self.open = !how.is_empty();
    }
}

#[tokio::test]
async fn in_a_workflow() {
    let (db, log) = (Db::new().await, Log::default());
    let old = db.abide.worker("panics").workflow(brittle).workflow(brittle_at_once);
    let old = old.activities(Steps(log.clone())).start().await.unwrap();
    let run = db.client().start(brittle(7)).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0202");
    says(told.message(), &["index is 7", "errors_panic.rs", "Steps::note(n)", "brittle"]);
    let at_once = db.client().start(brittle_at_once("this".to_owned())).await.unwrap();
    says(reason(at_once.result().await).message(), &["cannot even begin with this"]);
    assert_eq!(refused(db.client().start(brittle(7)).id(run.id()).await), "AB0401", "it is open");
    old.shutdown().await.unwrap();

    // The same build does not try again by itself; a fixed one that says so does.
    let new = db.abide.worker("panics").workflow(mended).activities(Steps(log.clone()));
    let new = new.start().await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0202");
    run.resume().await.unwrap();
    eventually("the fixed code goes on", async || run.result().await.ok() == Some(15)).await;
    assert_eq!(log.lines(), ["note 7", "note 8"], "the first step did not run again");
    new.shutdown().await.unwrap();
}

/// Whether the bug is there.
static BUG: AtomicBool = AtomicBool::new(true);

struct Unmade(u32);

impl Default for Unmade {
    fn default() -> Self {
        assert!(!workflow::allow!("the bug under test", BUG.load(Ordering::SeqCst)), "no default to be had");
        Self(7)
    }
}

#[workflow]
impl Unmade {
    #[run]
    async fn run(&mut self, n: u32) -> Result<u32, Failure> {
        Ok(self.0 + Steps::note(n).await?)
    }
}

#[tokio::test]
async fn in_the_default_of_its_state() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("panics").workflow(Unmade::run).activities(Steps(log.clone()));
    let worker = worker.start().await.unwrap();
    let run = db.client().start(Unmade::run(1)).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0202");
    says(told.message(), &["no default to be had", "Default"]);
    BUG.store(false, Ordering::SeqCst);
    run.resume().await.unwrap();
    eventually("it begins", async || run.result().await.ok() == Some(8)).await;
    assert_eq!(log.lines(), ["note 1"]);
    worker.shutdown().await.unwrap();
}

#[derive(Default)]
struct Splinter {
    open: bool,
}

impl Drop for Splinter {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "it does not go quietly");
    }
}

#[workflow]
impl Splinter {
    #[run]
    async fn run(&mut self, n: u32) -> Result<u32, Failure> {
        let _part = Self::default();
        let first = Steps::note(n).await?;
        workflow::until!(self.open).await;
        Ok(first)
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }
}

#[workflow]
async fn smooth(n: u32) -> Result<u32, Failure> {
    for _ in 0..10 {
        Steps::note(n).await?;
        workflow::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(n)
}

/// User code that runs when the state is dropped: no other execution and no worker goes down with it.
#[tokio::test]
async fn in_the_drop_of_its_state() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("panics").workflow(Splinter::run).workflow(smooth).workflow_threads(1);
    let worker = worker.activities(Steps(log.clone())).start().await.unwrap();
    let beside = db.client().start(smooth(50)).await.unwrap();
    let run = db.client().start(Splinter::run(1)).await.unwrap();
    run.open().await.unwrap();
    eventually("it ends or is suspended", async || match run.describe().await.unwrap().status {
        ExecutionStatus::Suspended => {
            run.describe().await.unwrap().suspension.is_some_and(|reason| reason.code() == "AB0202")
        }
        status => !status.is_open(),
    })
    .await;
    assert_eq!(beside.result().await.unwrap(), 50);
    assert_eq!(db.client().start(smooth(51)).await.unwrap().result().await.unwrap(), 51);
    assert_eq!(log.counts()["note 1"], 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_an_activity() {
    let db = Db::new().await;
    let worker = db.abide.worker("panics").workflow(calls_panicking).activity(panics_until);
    let worker = worker.start().await.unwrap();
    let retried = db.client().start(calls_panicking(3)).await.unwrap();
    assert_eq!(retried.result().await.unwrap(), 3);
    let hopeless = db.client().start(calls_panicking(4)).await.unwrap();
    let Err(WorkflowError::Failed(CallError::Panicked(text))) = hopeless.result().await else {
        panic!("the panic's text arrives")
    };
    says(&text, &["attempt 3 is too early"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_a_signal_handler() {
    let db = Db::new().await;
    let old = db.abide.worker("panics").workflow(Touchy::run).start().await.unwrap();
    let run = db.client().start(Touchy::run()).await.unwrap();
    run.open("rudely".to_owned()).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0202");
    says(told.message(), &["signal `open`", "opened rudely"]);
    old.shutdown().await.unwrap();
    let new = db.abide.worker("panics").workflow(Patient::run).start().await.unwrap();
    run.resume().await.unwrap();
    eventually("the signal is still there", async || run.result().await.ok() == Some(true)).await;
    new.shutdown().await.unwrap();
}

#[tokio::test]
async fn in_a_query_handler() {
    let db = Db::new().await;
    let worker = db.abide.worker("panics").workflow(Touchy::run).start().await.unwrap();
    let run = db.client().start(Touchy::run()).await.unwrap();
    let error = run.peek(true).await.unwrap_err();
    assert_eq!(error.code(), "AB0409");
    says(&error.to_string(), &["peek", "not that deep"]);
    assert!(!run.peek(false).await.unwrap(), "nothing happened to it");
    run.open("gently".to_owned()).await.unwrap();
    assert!(run.result().await.unwrap());
    assert_eq!(refused(run.peek(true).await), "AB0409", "the same after its close");
    worker.shutdown().await.unwrap();
}
