//! Messages that no execution can take: it does not exist, it has ended, or it knows no such name.

use super::ends::{reason, refused, says};
use super::support::{Db, eventually};
use abide::prelude::*;

#[derive(Default)]
struct Counter {
    n: u32,
}

#[workflow(name = "counter")]
impl Counter {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.n >= 10).await;
        self.n
    }

    #[signal]
    fn add(&mut self, n: u32) {
        self.n += n;
    }

    #[query]
    fn value(&self) -> u32 {
        self.n
    }

    #[query]
    fn below(&self, limit: u32) -> Result<u32, Failure> {
        if self.n < limit { Ok(self.n) } else { Err(Failure::new(format!("{} is too much", self.n))) }
    }
}

/// A later build of the same workflow: it knows one signal and one query more, and another argument of `add`.
#[derive(Default)]
struct Later {
    n: u32,
    noted: Vec<String>,
}

#[workflow(name = "counter")]
impl Later {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.n >= 10).await;
        self.n
    }

    #[signal]
    fn add(&mut self, n: u32) {
        self.n += n;
    }

    #[signal]
    async fn double(&mut self, note: String) {
        self.noted.push(note);
        self.n *= 2;
    }

    #[query]
    fn noted(&self) -> Vec<String> {
        self.noted.clone()
    }
}

/// A build that sends `add` another argument.
#[derive(Default)]
struct Confused;

#[workflow(name = "counter")]
impl Confused {
    #[run]
    async fn run(&mut self) -> u32 {
        0
    }

    #[signal]
    fn add(&mut self, text: String) {
        drop(text);
    }
}

async fn worker(db: &Db) -> abide::Worker {
    db.abide.worker("messages").workflow(Counter::run).start().await.unwrap()
}

#[tokio::test]
async fn to_what_is_not_there() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let nobody = db.client().handle::<Counter>("nobody");
    assert_eq!(refused(nobody.add(1).await), "AB0406");
    assert_eq!(refused(nobody.value().await), "AB0406");
    assert_eq!(refused(nobody.cancel("x").await), "AB0406");
    assert_eq!(refused(nobody.terminate("x").await), "AB0406");
    assert_eq!(refused(nobody.resume().await), "AB0406");
    assert_eq!(refused(nobody.describe().await), "AB0406");
    assert_eq!(refused(nobody.history().await), "AB0406");
    let Err(WorkflowError::Client(error)) = nobody.result().await else { panic!("there is no result") };
    assert_eq!(error.code(), "AB0406");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn to_what_is_closed() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Counter::run()).await.unwrap();
    run.add(12).request_id("last").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
    assert_eq!(refused(run.add(1).await), "AB0407");
    assert_eq!(refused(run.cancel("x").await), "AB0407");
    assert_eq!(refused(run.terminate("x").await), "AB0407");
    run.add(12).request_id("last").await.unwrap(); // it was taken in, and says so again
    assert_eq!(run.value().await.unwrap(), 12, "a closed one answers");
    assert_eq!(run.history().await.unwrap().len(), 2, "and nothing was added");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn sent_twice_and_taken_once() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Counter::run()).await.unwrap();
    for _ in 0..3 {
        run.add(2).request_id("once").await.unwrap();
    }
    assert_eq!(run.value().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
    run.add(2).request_id("once").await.unwrap(); // to a closed run: its journal knows
    run.add(3).request_id("twice").await.unwrap();
    run.add(3).request_id("twice").await.unwrap(); // the inbox knows
    let again = self::worker(&db).await;
    eventually("the inbox is taken in", async || run.value().await.unwrap() == 5).await;
    run.add(5).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn queries_that_cannot_be_answered() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Counter::run()).id("c").await.unwrap();
    let later = db.client().handle::<Later>("c");
    let error = later.noted().await.unwrap_err();
    assert_eq!(error.code(), "AB0408");
    says(&error.to_string(), &["counter", "noted"]);
    run.add(5).await.unwrap();
    assert_eq!(run.below(6).await.unwrap(), 5);
    let Err(QueryError::Failed(failure)) = run.below(5).await else { panic!("the handler's own error") };
    assert_eq!(failure.to_string(), "5 is too much");
    run.add(5).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10, "no query harmed it");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_unknown_signal_waits_for_a_build_that_knows_it() {
    let db = Db::new().await;
    let old = worker(&db).await;
    let run = db.client().start(Counter::run()).id("c").await.unwrap();
    run.add(6).await.unwrap();
    let later = db.client().handle::<Later>("c");
    later.double("early".to_owned()).await.unwrap();
    assert_eq!(run.describe().await.unwrap().unhandled_signals, ["double"]);
    assert_eq!(run.value().await.unwrap(), 6, "nobody took it");
    let again = db.client().start(Counter::run()).id("d").await.unwrap();
    again.add(7).await.unwrap();
    db.client().handle::<Later>("d").double("too".to_owned()).await.unwrap();
    old.shutdown().await.unwrap();

    // The same code once more takes nothing; then a later one comes.
    let old = worker(&db).await;
    assert_eq!(run.value().await.unwrap(), 6);
    drop(old); // as a crash does
    let new = db.abide.worker("messages").workflow(Later::run).build_id("later").start().await.unwrap();
    assert_eq!(again.result().await.unwrap(), 14);
    let result = tokio::time::timeout(secs(10), later.result()).await;
    assert_eq!(result.expect("the new build takes it without being asked").unwrap(), 12);
    assert_eq!(later.noted().await.unwrap(), ["early"]);
    assert!(later.describe().await.unwrap().unhandled_signals.is_empty());
    new.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_signal_that_does_not_decode_is_kept_and_harms_nobody() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(Counter::run()).id("c").await.unwrap();
    db.client().handle::<Confused>("c").add("seven".to_owned()).await.unwrap();
    run.add(3).await.unwrap();
    run.add(3).await.unwrap();
    assert_eq!(run.value().await.unwrap(), 6);
    let described = run.describe().await.unwrap();
    assert_eq!(described.unhandled_signals, ["add"], "shown as what nobody could take");
    assert_eq!(described.history_length, 4, "and not tried again and again");
    run.add(4).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_suspended_execution_keeps_its_messages() {
    let db = Db::new().await;
    let stranger = db.abide.worker("messages").workflow(Confused::run).build_id("x").start().await.unwrap();
    let run = db.client().start(strict("x".to_owned())).task_queue("messages").await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0206");
    run.cancel("while it is suspended").await.unwrap();
    let worker = db.abide.worker("messages").workflow(strict).build_id("y").start().await.unwrap();
    eventually("it is cancelled", async || matches!(run.result().await, Err(WorkflowError::Cancelled))).await;
    stranger.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn strict(text: String) -> String {
    workflow::sleep(days(1)).await;
    text
}

/// No worker that has its code is running.
#[tokio::test]
async fn a_query_that_nobody_answers() {
    let db = Db::new().await;
    let run = db.client().task_queue("deserted").start(Counter::run()).await.unwrap();
    let error = run.value().await.unwrap_err();
    assert_eq!(error.code(), "AB0413");
    says(&error.to_string(), &["value", "deserted"]);
    let worker = db.abide.worker("deserted").workflow(Counter::run).start().await.unwrap();
    eventually("a worker answers", async || run.value().await.is_ok_and(|n| n == 0)).await;
    run.add(10).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10, "the question that nobody answered holds nothing up");
    worker.shutdown().await.unwrap();
}
