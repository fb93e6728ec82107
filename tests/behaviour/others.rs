//! Workflow code signals and cancels other workflows: who is told, what the sender is answered, what it costs.

use super::support::{Db, eventually};
use abide::prelude::*;
use abide::testing::TestEnv;

/// Waits for a number of signals, or for a request to cancel.
#[derive(Default)]
struct Ship {
    holds: Vec<u32>,
}

#[workflow]
impl Ship {
    #[run]
    async fn run(&mut self, wanted: usize) -> Vec<u32> {
        workflow::until!(self.holds.len() >= wanted).await;
        self.holds.clone()
    }

    #[signal]
    fn hold(&mut self, n: u32) {
        self.holds.push(n);
    }

    #[query]
    fn count(&self) -> usize {
        self.holds.len()
    }
}

/// Sends one signal to a workflow.
#[workflow]
async fn sender(to: String, n: u32) -> Result<(), MessageError> {
    workflow::handle::<Ship>(to).hold(n).await
}

/// Sends many signals at once.
#[workflow]
async fn crowd(to: String, many: u32) -> usize {
    let ship = workflow::handle::<Ship>(to);
    let sent = futures::future::join_all((0..many).map(|n| ship.hold(n))).await;
    sent.into_iter().filter(Result::is_ok).count()
}

#[workflow]
async fn canceller(to: String) -> Result<(), MessageError> {
    workflow::handle::<Ship>(to).cancel("enough").await
}

/// Signals itself, and waits for that.
#[derive(Default)]
struct Echo {
    heard: Option<u32>,
}

#[workflow]
impl Echo {
    #[run]
    async fn run(&mut self) -> Result<Option<u32>, MessageError> {
        let me = workflow::info().workflow_id;
        workflow::handle::<Self>(me).hear(7).await?;
        workflow::until!(self.heard.is_some()).await;
        Ok(self.heard)
    }

    #[signal]
    fn hear(&mut self, n: u32) {
        self.heard = Some(n);
    }
}

async fn worker(abide: &Abide, queue: &str, cache_bytes: usize) -> Worker {
    let worker = abide.worker(queue).workflow(Ship::run).workflow(sender).workflow(crowd);
    worker.workflow(canceller).workflow(Echo::run).cache_bytes(cache_bytes).start().await.unwrap()
}

#[track_caller]
fn not_running(sent: Result<(), WorkflowError<MessageError>>, id: &str) {
    match sent {
        Err(WorkflowError::Failed(MessageError::NotRunning(to))) => assert_eq!(to, id),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_workflow_signals_another_live_and_after_each_eviction() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, "others", cache_bytes).await;
        let client = db.client();
        let ship = client.start(Ship::run(2)).id("ship-9").await.unwrap();
        for n in [1, 2] {
            client.start(sender("ship-9".to_owned(), n)).await.unwrap().result().await.unwrap();
        }
        assert_eq!(ship.result().await.unwrap(), [1, 2]);
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_is_not_running_is_told_of() {
    let db = Db::new().await;
    let worker = worker(&db.abide, "others", usize::MAX).await;
    let client = db.client();
    let sent = client.start(sender("nobody".to_owned(), 1)).await.unwrap();
    not_running(sent.result().await, "nobody");
    client.start(Ship::run(0)).id("ship-1").await.unwrap().result().await.unwrap();
    let sent = client.start(sender("ship-1".to_owned(), 1)).await.unwrap();
    not_running(sent.result().await, "ship-1");
    let sent = client.start(canceller("ship-1".to_owned())).await.unwrap();
    not_running(sent.result().await, "ship-1");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_cancels_another() {
    let db = Db::new().await;
    let worker = worker(&db.abide, "others", usize::MAX).await;
    let client = db.client();
    let ship = client.start(Ship::run(1)).id("ship-9").await.unwrap();
    client.start(canceller("ship-9".to_owned())).await.unwrap().result().await.unwrap();
    let ended = ship.result().await;
    assert!(matches!(&ended, Err(WorkflowError::Cancelled)), "{ended:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_may_signal_itself() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, "others", cache_bytes).await;
        let echo = db.client().start(Echo::run()).id("echo").await.unwrap();
        assert_eq!(echo.result().await.unwrap(), Some(7));
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_hundred_signals_go_in_one_turn_and_their_answers_in_few() {
    let db = Db::new().await;
    let worker = worker(&db.abide, "others", usize::MAX).await;
    let client = db.client();
    let ship = client.start(Ship::run(100)).id("ship-9").await.unwrap();
    let before = db.abide.metrics();
    let sent = client.start(crowd("ship-9".to_owned(), 100)).await.unwrap();
    assert_eq!(sent.result().await.unwrap(), 100);
    assert_eq!(ship.result().await.unwrap(), (0..100).collect::<Vec<_>>(), "in the order of their sender");
    let batches = db.abide.metrics().batches - before.batches;
    assert!(batches <= 6, "{batches} commits for 100 signals");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_signal_rides_and_each_side_has_one_turn() {
    let db = Db::new().await;
    let worker = worker(&db.abide, "others", usize::MAX).await;
    let client = db.client();
    let ship = client.start(Ship::run(2)).id("ship-9").await.unwrap();
    let before = db.abide.metrics();
    client.start(sender("ship-9".to_owned(), 1)).await.unwrap().result().await.unwrap();
    eventually("the signal is taken in", async || ship.count().await.unwrap() == 1).await;
    let after = db.abide.metrics();
    assert_eq!(after.appends - before.appends, 3, "the sender's start and its end, and the receiver's turn");
    assert!(after.batches - before.batches <= 3);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_receiver_may_run_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let (ours, theirs) =
        (worker(&here, "ours", usize::MAX).await, worker(&there, "theirs", usize::MAX).await);
    let client = here.client();
    let ship = client.start(Ship::run(1)).task_queue("theirs").id("ship-9").await.unwrap();
    let sent = client.start(sender("ship-9".to_owned(), 5)).task_queue("ours").await.unwrap();
    sent.result().await.unwrap();
    assert_eq!(ship.result().await.unwrap(), [5]);
    ours.shutdown().await.unwrap();
    theirs.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_works_in_a_test_environment() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("others").workflow(Ship::run).workflow(sender).start().await.unwrap();
    let ship = env.client().start(Ship::run(1)).id("ship-9").await.unwrap();
    env.client().start(sender("ship-9".to_owned(), 3)).await.unwrap().result().await.unwrap();
    assert_eq!(ship.result().await.unwrap(), [3]);
    worker.shutdown().await.unwrap();
}
