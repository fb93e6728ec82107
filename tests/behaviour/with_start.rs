//! Signal with start and update with start: the messages are in with the start, once, and before `run` is polled.

use super::support::{Db, eventually};
use crate::UserConnection;
use abide::history::Event;
use abide::prelude::*;
use abide::testing::TestEnv;
use sqlx::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Its result is what it had when `run` began, and what it has at the end.
#[derive(Default)]
struct Cart {
    items: Vec<String>,
    counted: bool,
    paid: bool,
}

#[workflow(name = "with_start.Cart", task_queue = "carts")]
impl Cart {
    #[run]
    async fn run(&mut self) -> (Vec<String>, Vec<String>) {
        let first = self.items.clone();
        workflow::until!(self.paid).await;
        (first, self.items.clone())
    }

    #[signal]
    fn note(&mut self, item: String) {
        self.items.push(item);
    }

    #[signal]
    fn pay(&mut self) {
        self.paid = true;
    }

    #[update(validate = Self::may_add)]
    fn add(&mut self, item: String) -> Result<usize, Failure> {
        self.items.push(item);
        Ok(self.items.len())
    }

    fn may_add(&self, item: &str) -> Result<(), Failure> {
        if item.is_empty() { Err(Failure::new("an item has a name")) } else { Ok(()) }
    }

    /// Its handler waits until a signal comes.
    #[update]
    async fn check_out(&mut self) -> usize {
        workflow::until!(self.counted).await;
        self.items.len()
    }

    #[signal]
    fn count(&mut self) {
        self.counted = true;
    }

    #[query]
    fn items(&self) -> Vec<String> {
        self.items.clone()
    }
}

/// A workflow of another type.
#[workflow(name = "with_start.Other", task_queue = "carts")]
async fn other() {
    workflow::sleep(days(1)).await;
}

async fn worker(abide: &Abide) -> Worker {
    abide.worker("carts").workflow(Cart::run).workflow(other).start().await.unwrap()
}

fn text(item: &str) -> String {
    item.to_owned()
}

async fn events(cart: &Handle<Cart>) -> Vec<Event> {
    cart.history().await.unwrap().into_iter().flat_map(|row| row.events).collect()
}

#[tokio::test]
async fn messages_come_before_run_and_go_to_a_run_that_is_open() {
    let db = Db::new().await;
    let (client, worker) = (db.client(), worker(&db.abide).await);
    let start = || client.start(Cart::run()).id("cart");
    let cart = start().with(|cart| cart.note(text("a"))).with(|cart| cart.note(text("b"))).await.unwrap();
    eventually("it begins", async || cart.items().await.unwrap() == ["a", "b"]).await;
    assert_eq!(start().with(|cart| cart.add(text("c"))).await.unwrap(), 3, "an open run takes it in");
    let again = start().with(|cart| cart.note(text("d"))).await.unwrap();
    assert_eq!(again.run_id(), cart.run_id());
    cart.note(text("e")).await.unwrap();
    cart.pay().await.unwrap();
    let (first, all) = cart.result().await.unwrap();
    assert_eq!(first, ["a", "b"]);
    assert_eq!(all, ["a", "b", "c", "d", "e"], "in the order of their sender");
    let next = start().with(|cart| cart.note(text("f"))).with(|cart| cart.pay()).await.unwrap();
    assert_ne!(next.run_id(), cart.run_id(), "a closed run takes nothing in");
    assert_eq!(next.result().await.unwrap().0, ["f"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_update_may_make_its_run() {
    let db = Db::new().await;
    let (client, worker) = (db.client(), worker(&db.abide).await);
    let start = |id: &str| client.start(Cart::run()).id(id).request_id(format!("r-{id}"));
    let many = start("many").with(|cart| cart.note(text("a"))).with(|cart| cart.add(text("b")));
    assert_eq!(many.await.unwrap(), 2, "signals come first");
    let (cart, update) = start("held").with(|cart| cart.check_out()).accepted().await.unwrap();
    assert_eq!(update.request_id(), "r-held");
    let waiting = tokio::spawn(update.result());
    let again = tokio::spawn(start("held").with(|cart| cart.check_out()).into_future());
    cart.note(text("x")).await.unwrap();
    cart.count().await.unwrap();
    assert_eq!((waiting.await.unwrap().unwrap(), again.await.unwrap().unwrap()), (1, 1));
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap().1, ["x"]);
    assert_eq!(cart.updates().check_out("r-held").result().await.unwrap(), 1);
    let known = start("held").with(|cart| cart.check_out()).await.unwrap();
    assert_eq!(known, 1, "its request is known, though the run is closed");
    // A rejection leaves a run that goes on, and answers each try of its request.
    for _ in 0..2 {
        let rejected = start("empty").with(|cart| cart.add(text(""))).await.unwrap_err();
        assert!(
            matches!(&rejected, UpdateError::Rejected(failure) if failure.to_string() == "an item has a name")
        );
    }
    let empty = client.handle::<Cart>("empty");
    assert_eq!(empty.add(text("y")).await.unwrap(), 1);
    let Some(Event::Started { early: 0, .. }) = events(&empty).await.into_iter().next() else {
        panic!("what was rejected is no early message")
    };
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_message_is_delivered_once() {
    let db = Db::new().await;
    let (client, worker) = (db.client(), worker(&db.abide).await);
    let cart = client.start(Cart::run()).id("cart").await.unwrap();
    let note = || client.start(Cart::run()).id("cart").request_id("r").with(|cart| cart.note(text("a")));
    let add = || client.start(Cart::run()).id("cart").request_id("u").with(|cart| cart.add(text("b")));
    for _ in 0..2 {
        assert_eq!(note().await.unwrap().run_id(), cart.run_id());
        assert_eq!(add().await.unwrap(), 2);
    }
    cart.pay().await.unwrap();
    assert_eq!(cart.result().await.unwrap().1, ["a", "b"]);
    // The run has closed, and a try comes late.
    assert_eq!(note().await.unwrap().run_id(), cart.run_id());
    assert_eq!(add().await.unwrap(), 2, "by its journal");
    let twice =
        |id: &'static str| client.start(Cart::run()).id(id).with(|cart| cart.note(text("a")).request_id("s"));
    let other = twice("other").await.unwrap();
    other.note(text("a")).request_id("s").await.unwrap();
    twice("other").await.unwrap();
    other.pay().await.unwrap();
    assert_eq!(other.result().await.unwrap().1, ["a"], "a signal's own request id");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn policies_hold() {
    let db = Db::new().await;
    let (client, worker) = (db.client(), worker(&db.abide).await);
    let first = client.start(Cart::run()).id("cart").await.unwrap();
    let start = || client.start(Cart::run()).id("cart");
    let fail = start().id_conflict_policy(IdConflictPolicy::Fail);
    let taken = fail.with(|cart| cart.note(text("a"))).await.unwrap_err();
    assert_eq!(taken.code(), "AB0401");
    let fail = start().id_conflict_policy(IdConflictPolicy::Fail);
    let taken = fail.with(|cart| cart.add(text("a"))).await.unwrap_err();
    assert!(matches!(&taken, UpdateError::Client(error) if error.code() == "AB0401"), "{taken}");
    let other_type = client.start(Cart::run()).id("other");
    client.start(other()).id("other").await.unwrap();
    let wrong = other_type.with(|cart| cart.note(text("a"))).await.unwrap_err();
    assert_eq!(wrong.code(), "AB0416");
    let untouched = client.execution("other").history().await.unwrap();
    assert!(!untouched.iter().flat_map(|row| &row.events).any(|e| matches!(e, Event::Signaled { .. })));
    let replace = start().id_conflict_policy(IdConflictPolicy::TerminateExisting);
    let second = replace.with(|cart| cart.note(text("b"))).await.unwrap();
    assert!(matches!(first.result().await, Err(WorkflowError::Terminated)));
    eventually("it begins", async || second.items().await.unwrap() == ["b"]).await;
    second.pay().await.unwrap();
    second.result().await.unwrap();
    let refused = start().id_reuse_policy(IdReusePolicy::RejectDuplicate);
    assert_eq!(refused.with(|cart| cart.note(text("c"))).await.unwrap_err().code(), "AB0402");
    let reserved = start().with(|cart| cart.note(text("c")).request_id("abide/x")).await.unwrap_err();
    assert_eq!(reserved.code(), "AB0412");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_start_waits_for_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (Db::open(&folder).await, Db::open(&folder).await);
    let client = here.client();
    let start = || client.start(Cart::run()).id("cart");
    let cart = start().with(|cart| cart.note(text("a"))).await.unwrap();
    cart.note(text("b")).await.unwrap();
    start().with(|cart| cart.note(text("c"))).await.unwrap();
    let added = tokio::spawn(start().with(|cart| cart.add(text("d"))).into_future());
    let made = tokio::spawn(client.start(Cart::run()).with(|cart| cart.add(text("x"))).into_future());
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Without room for live states, each turn is of a run that was replayed.
    let builder = elsewhere.worker("carts").workflow(Cart::run).cache_bytes(1);
    let worker = builder.start().await.unwrap();
    assert_eq!(added.await.unwrap().unwrap(), 4);
    assert_eq!(made.await.unwrap().unwrap(), 1);
    assert_eq!(start().with(|cart| cart.add(text("e"))).await.unwrap(), 5);
    cart.pay().await.unwrap();
    let (first, all) = cart.result().await.unwrap();
    assert_eq!((first, all.len()), (vec![text("a"), text("b"), text("c"), text("d")], 5));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_does_not_end_the_delay_of_its_start() {
    let db = Db::new().await;
    let (client, worker) = (db.client(), worker(&db.abide).await);
    let late = Duration::from_millis(700);
    let since = std::time::Instant::now();
    let signaled = client.start(Cart::run()).id("s").delay(late).with(|cart| cart.note(text("a")));
    let signaled = signaled.await.unwrap();
    assert!(signaled.describe().await.unwrap().begins_at.is_some());
    let added = client.start(Cart::run()).id("u").delay(late).with(|cart| cart.add(text("b")));
    assert_eq!(added.await.unwrap(), 1);
    assert!(since.elapsed() >= late, "{:?}", since.elapsed());
    eventually("it begins", async || signaled.items().await.unwrap() == ["a"]).await;
    // A later message does, also one of another start.
    let start = || client.start(Cart::run()).id("far").delay(hours(1));
    let far = start().with(|cart| cart.note(text("a"))).await.unwrap();
    assert!(far.describe().await.unwrap().begins_at.is_some());
    assert_eq!(start().with(|cart| cart.add(text("b"))).await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}

/// Whether the code is still wrong.
static WRONG: AtomicBool = AtomicBool::new(true);

#[derive(Default)]
struct Halts {
    told: Vec<u32>,
}

#[workflow(name = "with_start.Halts", task_queue = "halts")]
impl Halts {
    #[run]
    async fn run(&mut self) -> Vec<u32> {
        self.told.clone()
    }

    #[signal]
    fn tell(&mut self, n: u32) {
        let is_wrong = workflow::allow!("the bug under test", WRONG.load(Ordering::SeqCst));
        assert!(n != 2 || !is_wrong, "wrong");
        self.told.push(n);
    }

    #[update]
    fn ask(&mut self, n: u32) -> usize {
        self.told.push(n);
        self.told.len()
    }
}

#[tokio::test]
async fn a_first_turn_that_is_suspended_loses_no_message() {
    let db = Db::new().await;
    let client = db.client();
    let start = client.start(Halts::run()).id("halts").request_id("r");
    let start = start.with(|run| run.tell(1)).with(|run| run.tell(2)).with(|run| run.tell(3));
    let asked = tokio::spawn(start.with(|run| run.ask(4)).into_future());
    eventually("it is started", async || client.execution("halts").describe().await.is_ok()).await;
    let run = client.handle::<Halts>("halts");
    run.tell(5).await.unwrap();
    let worker = db.abide.worker("halts").workflow(Halts::run).start().await.unwrap();
    let suspended = asked.await.unwrap().unwrap_err();
    assert!(matches!(&suspended, UpdateError::Suspended(reason) if reason.code() == "AB0202"), "{suspended}");
    WRONG.store(false, Ordering::SeqCst);
    run.resume().await.unwrap();
    assert_eq!(run.result().await.unwrap(), [1, 2, 3, 4, 5], "all before `run` is polled, in their order");
    assert_eq!(run.updates().ask("r").result().await.unwrap(), 4);
    worker.shutdown().await.unwrap();
}

/// Its first attempt is suspended while it takes in what came with the start, until its time is up.
#[derive(Default)]
struct Retried {
    told: Vec<u32>,
}

#[workflow(
    name = "with_start.Retried",
    task_queue = "halts",
    run_timeout = "1500ms",
    retry(max_attempts = 2, initial_interval = "20ms")
)]
impl Retried {
    #[run]
    async fn run(&mut self) -> Vec<u32> {
        self.told.clone()
    }

    #[signal]
    fn tell(&mut self, n: u32) {
        assert!(n != 2 || workflow::info().attempt > 1, "wrong");
        self.told.push(n);
    }

    #[update]
    fn ask(&mut self, n: u32) -> usize {
        self.told.push(n);
        self.told.len()
    }
}

#[tokio::test]
async fn what_a_suspended_first_turn_left_is_the_next_attempts() {
    let db = Db::new().await;
    let client = db.client();
    let start = client.start(Retried::run()).id("retried").request_id("r");
    let start = start.with(|run| run.tell(1)).with(|run| run.tell(2)).with(|run| run.tell(3));
    let asked = tokio::spawn(start.with(|run| run.ask(4)).into_future());
    let worker = db.abide.worker("halts").workflow(Retried::run).start().await.unwrap();
    let suspended = asked.await.unwrap().unwrap_err();
    assert!(matches!(&suspended, UpdateError::Suspended(_)), "{suspended}");
    let run = client.handle::<Retried>("retried");
    eventually("the next attempt", async || run.describe().await.unwrap().attempt == 2).await;
    // The first attempt has taken in two; the second of them stopped it.
    assert_eq!(run.result().await.unwrap(), [3, 4], "before `run` is polled, in their order");
    assert_eq!(run.updates().ask("r").result().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}

async fn begin(user: &mut UserConnection) -> sqlx::Transaction<'_, <UserConnection as Connection>::Database> {
    let begin = if crate::ON_POSTGRES { "BEGIN" } else { "BEGIN IMMEDIATE" };
    user.begin_with(begin).await.unwrap()
}

#[tokio::test]
async fn they_happen_within_a_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let (client, worker) = (abide.client(), worker(&abide).await);
    let mut user = UserConnection::connect(&Db::url(&folder)).await.unwrap();
    let start = |id: &str| client.start(Cart::run()).id(id);
    let open = start("open").await.unwrap();

    let mut tx = begin(&mut user).await;
    start("new").with(|cart| cart.note(text("a"))).within(&mut *tx).await.unwrap();
    start("open").with(|cart| cart.note(text("a"))).within(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(client.execution("new").describe().await.unwrap_err().code(), "AB0406");

    let mut tx = begin(&mut user).await;
    let new = start("new").with(|cart| cart.note(text("b"))).within(&mut *tx).await.unwrap();
    let (_, added) = start("open").with(|cart| cart.add(text("c"))).within(&mut *tx).await.unwrap();
    let (made, first) = start("made").with(|cart| cart.add(text("d"))).within(&mut *tx).await.unwrap();
    let (_, empty) = start("empty").with(|cart| cart.add(text(""))).within(&mut *tx).await.unwrap();
    let replacing = start("open").id_conflict_policy(IdConflictPolicy::TerminateExisting);
    let refused = replacing.with(|cart| cart.note(text("x"))).within(&mut *tx).await.unwrap_err();
    assert_eq!(refused.code(), "AB0418");
    let replacing = start("open").id_conflict_policy(IdConflictPolicy::TerminateExisting);
    let refused = replacing.with(|cart| cart.add(text("x"))).within(&mut *tx).await.unwrap_err();
    assert_eq!(refused.code(), "AB0418");
    tx.commit().await.unwrap();
    assert_eq!((added.result().await.unwrap(), first.result().await.unwrap()), (1, 1));
    assert!(matches!(empty.result().await, Err(UpdateError::Rejected(_))));
    eventually("it begins", async || new.items().await.unwrap() == ["b"]).await;
    assert_eq!(open.items().await.unwrap(), ["c"]);
    assert_eq!(made.items().await.unwrap(), ["d"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn they_work_in_a_test_environment() {
    let env = TestEnv::start().await.unwrap();
    let _worker = env.worker("carts").workflow(Cart::run).workflow(other).start().await.unwrap();
    let client = env.client();
    let start = || client.start(Cart::run()).id("cart");
    let cart = start().with(|cart| cart.note(text("a"))).await.unwrap();
    assert_eq!(start().with(|cart| cart.add(text("b"))).await.unwrap(), 2);
    assert!(matches!(start().with(|cart| cart.add(text(""))).await, Err(UpdateError::Rejected(_))));
    let (_, held) = start().with(|cart| cart.check_out()).accepted().await.unwrap();
    cart.count().await.unwrap();
    assert_eq!(held.result().await.unwrap(), 2);
    cart.pay().await.unwrap();
    let (first, all) = cart.result().await.unwrap();
    assert_eq!((first[0].as_str(), all), ("a", vec![text("a"), text("b")]));
    let before = env.now();
    let later = client.start(Cart::run()).delay(hours(2)).with(|cart| cart.add(text("c")));
    assert_eq!(later.await.unwrap(), 1);
    let waited = env.now().duration_since(before);
    assert!(waited.as_secs() >= 2 * 3_600, "its delay has passed: {waited:?}");
}
