//! A state that is made from the input (`#[init]`): before anything is delivered, in each replay, and for a
//! query of a run that has not begun.

use super::ends::{reason, refused, says};
use super::support::{Db, Log, Steps, eventually};
use abide::history::Event;
use abide::prelude::*;
use abide::testing::TestEnv;
use abide::testing::replay::{History, Replayer};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};

/// No `Default`, no `Clone`.
#[derive(Serialize, Deserialize)]
struct Order {
    name: String,
    items: Vec<u32>,
}

fn order(items: &[u32]) -> Order {
    Order { name: "seven".to_owned(), items: items.to_vec() }
}

/// What is left to do of an order.
struct Work {
    order: Order,
    left: Vec<u32>,
    told: Vec<String>,
    open: bool,
}

#[workflow]
impl Work {
    /// The items in the order in which they are noted.
    #[init]
    fn new(order: Order, first: u32) -> Self {
        let mut left = order.items.clone();
        left.retain(|item| *item != first);
        left.insert(0, first);
        Self { told: vec![format!("made of {}", order.name)], order, left, open: false }
    }

    #[run]
    async fn run(&mut self, order: Order, first: u32) -> Result<Vec<String>, Failure> {
        self.told.push(format!("run of {} from {first}", order.name));
        while let Some(item) = self.left.first().copied() {
            Steps::note(item).await?;
            self.left.remove(0);
        }
        workflow::until!(self.open).await;
        Ok(self.told.clone())
    }

    #[signal]
    fn add(&mut self, item: u32) {
        self.told.push(format!("{item} beside {}", self.left.len()));
        self.left.push(item);
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn left(&self) -> Vec<u32> {
        self.left.clone()
    }

    #[query]
    fn name(&self) -> String {
        self.order.name.clone()
    }
}

fn steps(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(Work::run)
}

#[tokio::test]
async fn the_state_is_there_before_early_signals_and_run() {
    for cache_bytes in [usize::MAX, 1] {
        let (db, log) = (Db::new().await, Log::default());
        let run = db.client().start(Work::run(order(&[1, 2]), 2)).task_queue("init").await.unwrap();
        run.add(3).await.unwrap();
        let worker = db.abide.worker("init").include(steps).activities(Steps(log.clone()));
        let worker = worker.cache_bytes(cache_bytes).start().await.unwrap();
        eventually("all is noted", async || run.left().await.is_ok_and(|left| left.is_empty())).await;
        worker.shutdown().await.unwrap();

        // Another process makes the state again, and comes to the same.
        let worker = db.abide.worker("init").include(steps).activities(Steps(log.clone()));
        let worker = worker.start().await.unwrap();
        assert_eq!(run.name().await.unwrap(), "seven");
        run.open().await.unwrap();
        assert_eq!(run.result().await.unwrap(), ["made of seven", "3 beside 2", "run of seven from 2"]);
        assert_eq!(log.lines(), ["note 2", "note 1", "note 3"]);
        assert_eq!(run.left().await.unwrap(), [0_u32; 0], "a replay of the closed run says the same");
        worker.shutdown().await.unwrap();
    }
}

/// The worker of another queue has the code: it looks at the run, and does not begin it.
#[tokio::test]
async fn a_run_that_nobody_has_begun_is_looked_at_as_it_will_begin() {
    let db = Db::new().await;
    let beside = db.abide.worker("beside").workflow(Work::run).activities(Steps(Log::default()));
    let beside = beside.start().await.unwrap();
    let run = db.client().start(Work::run(order(&[1, 2]), 2)).task_queue("init").await.unwrap();
    assert_eq!(run.left().await.unwrap(), [2, 1]);
    assert!(run.history().await.unwrap().is_empty());
    run.terminate("never begun").await.unwrap();
    assert_eq!(run.left().await.unwrap(), [2, 1], "the same once it is closed");
    beside.shutdown().await.unwrap();
}

/// Both ways of making a state: the engine takes the input's.
#[derive(Default)]
struct Both(u32);

#[workflow]
impl Both {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        workflow::sleep(millis(1)).await;
        self.0 + n
    }

    #[init]
    fn of(n: u32) -> Both {
        Self(n * 10)
    }
}

#[tokio::test]
async fn in_a_test_environment_init_comes_before_default() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("init").workflow(Both::run).start().await.unwrap();
    assert_eq!(Both::default().0, 0);
    assert_eq!(env.client().start(Both::run(3)).await.unwrap().result().await.unwrap(), 33);
    worker.shutdown().await.unwrap();
}

/// Yesterday's code begins with the last item.
struct Later(Vec<u32>);

#[workflow(name = "Work")]
impl Later {
    #[init]
    fn new(order: Order, _: u32) -> Self {
        Self(order.items)
    }

    #[run]
    async fn run(&mut self, _: Order, _: u32) -> Result<(), Failure> {
        while let Some(item) = self.0.pop() {
            Steps::note(item).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_replayer_makes_the_state_from_the_recorded_input() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("init").workflow(Work::run).activities(Steps(Log::default()));
    let worker = worker.start().await.unwrap();
    let run = env.client().start(Work::run(order(&[1, 2]), 1)).await.unwrap();
    run.open().await.unwrap();
    run.result().await.unwrap();
    let history = History::of(&run).await.unwrap();
    Replayer::new().workflow(Work::run).replay(&history).assert_ok();
    let report = Replayer::new().workflow(Later::run).replay(&history);
    assert_eq!(report.code(), Some("AB0201"), "{report}");
    worker.shutdown().await.unwrap();
}

/// Whether the bug is there.
static BUG: AtomicBool = AtomicBool::new(true);

struct Unmade(u32);

#[workflow]
impl Unmade {
    #[init]
    fn new(n: u32) -> Self {
        let bug = workflow::allow!("the bug under test", BUG.load(Ordering::SeqCst));
        assert!(!bug || n < 2, "no state of {n} to be had");
        Self(n)
    }

    #[run]
    async fn run(&mut self, n: u32) -> Result<u32, Failure> {
        Ok(self.0 + Steps::note(n).await?)
    }

    #[signal]
    fn add(&mut self, n: u32) {
        self.0 += n;
    }

    #[query]
    fn sum(&self) -> u32 {
        self.0
    }
}

#[tokio::test]
async fn a_panic_suspends_and_a_fixed_build_goes_on() {
    let (db, log) = (Db::new().await, Log::default());
    let client = db.client();
    let run = client.start(Unmade::run(2)).task_queue("init").await.unwrap();
    run.add(5).await.unwrap();
    let worker = db.abide.worker("init").workflow(Unmade::run).activities(Steps(log.clone()));
    let worker = worker.start().await.unwrap();
    let well = client.start(Unmade::run(1)).task_queue("init").await.unwrap();
    assert_eq!(well.result().await.unwrap(), 2, "the worker goes on");
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0202");
    says(told.message(), &["no state of 2 to be had", "`#[init]`"]);
    assert_eq!(refused(run.sum().await), "AB0409", "there is no state to answer from");
    BUG.store(false, Ordering::SeqCst);
    run.resume().await.unwrap();
    eventually("it begins, with the signal first", async || run.result().await.ok() == Some(9)).await;
    assert!(matches!(run.history().await.unwrap()[0].events[0], Event::Started { early: 1, .. }));
    assert_eq!(log.counts()["note 2"], 1);
    worker.shutdown().await.unwrap();
}

struct Text(String);

#[workflow(name = "init of a type")]
impl Text {
    #[init]
    fn new(text: String) -> Self {
        Self(text)
    }

    #[run]
    async fn run(&mut self, _: String) -> String {
        self.0.clone()
    }

    #[query]
    fn text(&self) -> String {
        self.0.clone()
    }
}

struct Number(u32);

#[workflow(name = "init of a type")]
impl Number {
    #[init]
    fn new(number: u32) -> Self {
        Self(number)
    }

    #[run]
    async fn run(&mut self, _: u32) -> u32 {
        self.0
    }
}

#[tokio::test]
async fn an_input_that_does_not_decode_suspends() {
    let db = Db::new().await;
    let other = db.abide.worker("init").workflow(Number::run).start().await.unwrap();
    let run = db.client().start(Text::run("seven".to_owned())).task_queue("init").await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0203");
    says(told.message(), &["input", "u32"]);
    other.shutdown().await.unwrap();
    let right = db.abide.worker("init").workflow(Text::run).start().await.unwrap();
    run.resume().await.unwrap();
    eventually("its input is still there", async || run.result().await.is_ok_and(|text| text == "seven"))
        .await;
    assert_eq!(run.text().await.unwrap(), "seven");
    right.shutdown().await.unwrap();
}

struct Dated(i64);

impl Dated {
    /// What the macro cannot see from the `#[init]`.
    fn today() -> i64 {
        workflow::now().as_millisecond()
    }
}

#[workflow]
impl Dated {
    #[init]
    fn new() -> Self {
        Self(Self::today())
    }

    #[run]
    async fn run(&mut self) -> i64 {
        self.0
    }
}

/// There is no run yet whose time it would be: a look before the start would see another one.
#[tokio::test]
async fn what_belongs_to_a_run_is_refused_in_a_helper_too() {
    let db = Db::new().await;
    let worker = db.abide.worker("init").workflow(Dated::run).start().await.unwrap();
    let run = db.client().start(Dated::run()).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0210");
    says(told.message(), &["`#[init]`", "workflow::now", "let `run` call it"]);
    worker.shutdown().await.unwrap();
}
