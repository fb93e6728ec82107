//! Updates: messages with an answer.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use abide::testing::TestEnv;
use abide::{UpdateError, WorkflowError};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
enum CartError {
    #[error("nothing to add")]
    Nothing,
    #[error("the cart is full")]
    Full,
    #[error("the step failed")]
    Step(#[from] abide::CallError),
}

#[derive(Default)]
struct Cart {
    sum: u32,
    paid: bool,
    let_go: bool,
}

#[workflow]
impl Cart {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.paid).await;
        self.sum
    }

    #[update(validate = Self::may_add)]
    fn add(&mut self, n: u32) -> Result<u32, CartError> {
        if self.sum + n > 100 {
            return Err(CartError::Full);
        }
        self.sum += n;
        Ok(self.sum)
    }

    fn may_add(&self, n: &u32) -> Result<(), CartError> {
        assert!(*n != 13, "an unlucky number");
        if *n == 0 { Err(CartError::Nothing) } else { Ok(()) }
    }

    #[update]
    async fn add_slowly(&mut self, n: u32) -> Result<u32, CartError> {
        let n = Steps::note(n).await?;
        self.sum += n;
        Ok(self.sum)
    }

    /// Its handler waits until a signal comes.
    #[update(name = "hold")]
    async fn hold(&mut self, n: u32) -> u32 {
        workflow::until!(self.let_go).await;
        self.sum += n;
        self.sum
    }

    #[update(validate = Self::never)]
    fn plain(&mut self) -> u32 {
        self.sum
    }

    fn never(&self) -> Result<(), Failure> {
        Err(Failure::new("never"))
    }

    #[signal]
    fn pay(&mut self) {
        self.paid = true;
    }

    #[signal]
    fn let_go(&mut self) {
        self.let_go = true;
    }

    #[query]
    fn sum(&self) -> u32 {
        self.sum
    }
}

async fn worker(abide: &Abide) -> Worker {
    let builder = abide.worker("carts").workflow(Cart::run).activities(Steps(Log::default()));
    builder.start().await.unwrap()
}

async fn updates_in(run: &Handle<Cart>) -> usize {
    let rows = run.history().await.unwrap();
    let accepted =
        |event: &&abide::history::Event| matches!(event, abide::history::Event::UpdateAccepted { .. });
    rows.iter().flat_map(|row| &row.events).filter(accepted).count()
}

#[tokio::test]
async fn an_update_has_an_answer_and_costs_one_commit() {
    let db = Db::new().await;
    let worker = worker(&db.abide).await;
    let cart = db.client().start(Cart::run()).await.unwrap();
    let before = db.abide.metrics().batches;
    assert_eq!(cart.add(3).await.unwrap(), 3);
    assert_eq!(db.abide.metrics().batches - before, 1, "a plain one");
    assert_eq!(cart.add_slowly(4).await.unwrap(), 7);
    assert_eq!(db.abide.metrics().batches - before, 3, "one more, and one for its step");
    assert!(matches!(cart.add(0).await, Err(UpdateError::Rejected(CartError::Nothing))));
    let panicked = cart.add(13).await.unwrap_err();
    assert!(panicked.to_string().starts_with("AB0441: ") && panicked.to_string().contains("unlucky"));
    let never = cart.plain().await.unwrap_err();
    assert!(matches!(&never, UpdateError::Rejected(failure) if failure.to_string() == "never"));
    assert_eq!(db.abide.metrics().batches - before, 3, "a rejection writes nothing");
    assert!(matches!(cart.add(98).await, Err(UpdateError::Failed(CartError::Full))));
    assert_eq!(updates_in(&cart).await, 3, "what was rejected has no event");
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap(), 7);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_id_is_accepted_once() {
    let db = Db::new().await;
    let worker = worker(&db.abide).await;
    let cart = db.client().start(Cart::run()).await.unwrap();
    assert_eq!(cart.add(3).request_id("u1").await.unwrap(), 3);
    assert_eq!(cart.add(5).request_id("u1").await.unwrap(), 3, "the answer of the first");
    assert_eq!(cart.add(0).request_id("u1").await.unwrap(), 3, "it is not validated again");
    assert_eq!(cart.updates().add("u1").result().await.unwrap(), 3);
    assert!(matches!(cart.updates().add("u2").result().await, Err(UpdateError::Unknown)));
    let error = cart.add(1).request_id("abide/x").await.unwrap_err();
    assert!(error.to_string().starts_with("AB0412"), "{error}");
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap(), 3);
    assert_eq!(cart.updates().add("u1").result().await.unwrap(), 3, "a closed run answers by its journal");
    assert_eq!(cart.add(9).request_id("u1").await.unwrap(), 3);
    let late = cart.add(9).await.unwrap_err();
    assert!(matches!(late, UpdateError::Closed) && late.to_string().starts_with("AB0407"));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_accepted_update_is_done_later_and_told_to_other_processes() {
    let folder = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (Db::open(&folder).await, Db::open(&folder).await);
    let worker = worker(&here).await;
    let cart = here.client().start(Cart::run()).id("cart").await.unwrap();
    let there = elsewhere.client().handle::<Cart>("cart");
    let held = there.hold(5).request_id("h1").accepted().await.unwrap();
    assert_eq!(held.request_id(), "h1");
    assert!(matches!(there.add(0).await, Err(UpdateError::Rejected(CartError::Nothing))), "by a row");
    let waiting = tokio::spawn(there.updates().hold("h1").result());
    let also = tokio::spawn(held.result());
    tokio::time::sleep(Duration::from_millis(50)).await;
    cart.let_go().await.unwrap();
    let told = async { (waiting.await.unwrap().unwrap(), also.await.unwrap().unwrap()) };
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), told).await.unwrap(), (5, 5));
    assert_eq!(cart.updates().hold("h1").result().await.unwrap(), 5, "and to this one");
    assert_eq!(there.add(2).await.unwrap(), 7);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_that_ends_aborts_its_updates() {
    let db = Db::new().await;
    let worker = worker(&db.abide).await;
    let cart = db.client().start(Cart::run()).await.unwrap();
    let held = cart.hold(5).accepted().await.unwrap();
    let waiting = tokio::spawn(held.result());
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap(), 0);
    let aborted = waiting.await.unwrap().unwrap_err();
    assert!(matches!(aborted, UpdateError::Aborted { next: None }));
    assert!(aborted.to_string().starts_with("AB0420"), "{aborted}");
    assert!(matches!(held.result().await, Err(UpdateError::Aborted { .. })), "its journal says so");
    let cart = db.client().start(Cart::run()).await.unwrap();
    let held = cart.hold(5).accepted().await.unwrap();
    cart.terminate("enough").await.unwrap();
    assert!(matches!(held.result().await, Err(UpdateError::Aborted { .. })));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_update_outlives_its_worker() {
    let db = Db::new().await;
    let first = worker(&db.abide).await;
    let cart = db.client().start(Cart::run()).await.unwrap();
    assert_eq!(cart.add(1).request_id("u1").await.unwrap(), 1);
    let held = cart.hold(5).accepted().await.unwrap();
    first.shutdown().await.unwrap();
    cart.let_go().await.unwrap();
    let second = worker(&db.abide).await;
    assert_eq!(held.result().await.unwrap(), 6);
    assert_eq!(cart.add(9).request_id("u1").await.unwrap(), 1, "also after a replay");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn updates_before_the_first_turn_come_before_run() {
    let db = Db::new().await;
    let cart = db.client().task_queue("carts").start(Cart::run()).await.unwrap();
    let asked = [cart.add(0).request_id("u0"), cart.add(4).request_id("u1"), cart.add(6).request_id("u2")];
    let asked = asked.map(|update| tokio::spawn(update));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let builder = db.abide.worker("carts").workflow(Cart::run).activities(Steps(Log::default()));
    let worker = builder.cache_bytes(1).start().await.unwrap();
    let [none, one, two] = asked;
    assert!(matches!(none.await.unwrap(), Err(UpdateError::Rejected(CartError::Nothing))));
    let answers = [one.await.unwrap().unwrap(), two.await.unwrap().unwrap()];
    assert!(answers == [4, 10] || answers == [10, 6], "{answers:?}");
    eventually("they are in", async || cart.sum().await.unwrap() == 10).await;
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap(), 10);
    worker.shutdown().await.unwrap();
}

#[derive(Default)]
struct Breaks {
    open: bool,
}

#[workflow]
impl Breaks {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.open).await;
        panic!("a bug");
    }

    #[update]
    fn open(&mut self) -> bool {
        std::mem::replace(&mut self.open, true)
    }
}

#[tokio::test]
async fn a_suspended_run_keeps_updates() {
    let db = Db::new().await;
    let worker = db.abide.worker("breaks").workflow(Breaks::run).start().await.unwrap();
    let run = db.client().start(Breaks::run()).await.unwrap();
    let suspended = run.open().await.unwrap_err();
    assert!(matches!(&suspended, UpdateError::Suspended(reason) if reason.code() == "AB0202"), "{suspended}");
    assert!(matches!(run.result().await, Err(WorkflowError::Suspended(_))));
    let suspended = run.open().await.unwrap_err();
    assert!(suspended.to_string().starts_with("AB0421"), "{suspended}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn too_many_open_updates_are_refused() {
    let db = Db::new().await;
    let worker = worker(&db.abide).await;
    let cart = db.client().start(Cart::run()).await.unwrap();
    for _ in 0..100 {
        let _ = cart.hold(1).accepted().await.unwrap();
    }
    let refused = cart.add(1).await.unwrap_err();
    assert!(matches!(refused, UpdateError::TooMany) && refused.to_string().starts_with("AB0422"));
    cart.let_go().await.unwrap();
    eventually("they are done", async || cart.sum().await.unwrap() == 100).await;
    cart.pay().await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn updates_in_a_test_environment() {
    let env = TestEnv::start().await.unwrap();
    let builder = env.worker("carts").workflow(Cart::run).activities(Steps(Log::default()));
    let _worker = builder.start().await.unwrap();
    let cart = env.client().start(Cart::run()).await.unwrap();
    assert_eq!(cart.add(3).await.unwrap(), 3);
    assert_eq!(cart.add_slowly(4).await.unwrap(), 7);
    assert!(matches!(cart.add(0).await, Err(UpdateError::Rejected(CartError::Nothing))));
    let held = cart.hold(5).accepted().await.unwrap();
    cart.let_go().await.unwrap();
    assert_eq!(held.result().await.unwrap(), 12);
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap(), 12);
}
