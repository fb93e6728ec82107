//! Runs that continue as new: values are carried, messages and requests to cancel move, `result()` and handles follow.

use super::ends::reason;
use super::support::{Db, Log, Steps};
use abide::prelude::*;
use abide::testing::TestEnv;
use abide::{ExecutionStatus, ListFilter, UpdateError};

/// Each round is a run.
#[workflow]
async fn count(total: u32, rounds: u32) -> u32 {
    if rounds > 0 {
        return workflow::continue_as_new(count(total + 1, rounds - 1)).await;
    }
    total
}

/// Keeps what it was told over its runs. A run ends when it was told three things.
#[derive(Default)]
struct Diary {
    told: Vec<u32>,
    closed: bool,
}

#[workflow]
impl Diary {
    #[run]
    async fn run(&mut self, before: Vec<u32>) -> Vec<u32> {
        workflow::until!(self.told.len() >= 3 || self.closed).await;
        let all = [before, self.told.clone()].concat();
        if self.closed {
            return all;
        }
        workflow::continue_as_new(Self::run(all)).await
    }

    #[signal]
    fn tell(&mut self, what: u32) {
        self.told.push(what);
    }

    /// Notes it as `tell` does, and gives how often this run was told something.
    #[update]
    fn ask(&mut self, what: u32) -> usize {
        self.told.push(what);
        self.told.len()
    }

    #[signal]
    fn close(&mut self) {
        self.closed = true;
    }
}

/// Finishes its shielded part, and goes on in it.
#[derive(Default)]
struct Shielded {
    open: bool,
}

#[workflow]
impl Shielded {
    #[run]
    async fn run(&mut self, first: bool) -> u32 {
        if !first {
            workflow::until!(self.open).await;
            return 1;
        }
        workflow::shielded(async {
            workflow::until!(self.open).await;
            workflow::continue_as_new(Self::run(false)).await
        })
        .await
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }
}

/// Tells itself something in the turn in which it goes on as a new run.
#[derive(Default)]
struct Echo {
    told: Vec<u32>,
}

#[workflow(name = "chains.Echo")]
impl Echo {
    #[run]
    async fn run(&mut self, round: u32) -> Vec<u32> {
        let me = workflow::handle::<Self>(workflow::info().workflow_id);
        if round == 0 {
            workflow::until!(self.told.len() >= 3).await;
            return self.told.clone();
        }
        workflow::join!(me.tell(1), me.tell(2), workflow::continue_as_new(Self::run(round - 1))).2
    }

    #[signal]
    fn tell(&mut self, what: u32) {
        self.told.push(what);
    }
}

#[workflow]
async fn first_half(total: u32) -> u32 {
    workflow::continue_as_new(second_half(total + 1)).await
}

#[workflow]
async fn second_half(total: u32) -> u32 {
    total + 10
}

#[workflow]
async fn with_saga() -> Result<u32, Failure> {
    let mut steps = workflow::saga();
    Steps::note(1).await?;
    steps.on_failure(Steps::undo("note".to_owned()));
    workflow::continue_as_new(with_saga()).await
}

async fn worker(abide: &Abide, cache_bytes: usize) -> abide::Worker {
    let builder = abide.worker("chains").workflow(count).workflow(Diary::run).workflow(Shielded::run);
    let builder = builder.workflow(Echo::run).workflow(first_half).workflow(second_half).workflow(with_saga);
    builder.activities(Steps(Log::default())).cache_bytes(cache_bytes).start().await.unwrap()
}

#[tokio::test]
async fn values_are_carried_and_the_result_follows() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, cache_bytes).await;
        let run = db.client().start(count(0, 6)).id("count").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 6);
        assert_eq!(db.client().handle::<count>("count").result().await.unwrap(), 6);
        let first = run.describe().await.unwrap();
        assert_eq!(first.status, ExecutionStatus::ContinuedAsNew);
        assert_eq!((first.run_id.as_str(), first.previous_run_id), (run.run_id().unwrap(), None));
        let last = db.client().handle::<count>("count").describe().await.unwrap();
        assert_eq!((last.status, last.next_run_id), (ExecutionStatus::Completed, None));
        let listed = db.client().list(ListFilter::new()).await.unwrap().executions;
        assert_eq!(listed.len(), 7);
        // The newest first: each is the next of the one after it.
        for pair in listed.windows(2) {
            assert_eq!(pair[1].next_run_id.as_ref(), Some(&pair[0].run_id));
        }
        assert_eq!(first.next_run_id.as_ref(), Some(&listed[5].run_id));
        assert_eq!(last.previous_run_id.as_ref(), Some(&listed[1].run_id));
        worker.shutdown().await.unwrap();
    }
}

/// The sender meets runs that have just ended, that wait for their time and that are not loaded yet.
#[tokio::test]
async fn no_signal_is_lost_doubled_or_out_of_order() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, cache_bytes).await;
        let diary = db.client().start(Diary::run(Vec::new())).id("diary").await.unwrap();
        let by_id = db.client().handle::<Diary>("diary");
        for n in 0..40 {
            let to = if n % 2 == 0 { &diary } else { &by_id };
            to.tell(n).request_id(format!("{n}")).await.unwrap();
            // The same again is known, also to the runs that go on.
            to.tell(n).request_id(format!("{n}")).await.unwrap();
        }
        diary.close().await.unwrap();
        assert_eq!(diary.result().await.unwrap(), (0..40).collect::<Vec<_>>());
        worker.shutdown().await.unwrap();
    }
}

/// An update meets runs that have just gone on as well: it is answered once, by the run that takes it in.
#[tokio::test]
async fn an_update_is_answered_by_the_run_that_takes_it_in() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, cache_bytes).await;
        let diary = db.client().start(Diary::run(Vec::new())).id("diary").await.unwrap();
        for n in 0..12 {
            let told = diary.ask(n).await.unwrap();
            assert!((1..=3).contains(&told), "{told} in one run");
        }
        diary.close().await.unwrap();
        assert_eq!(diary.result().await.unwrap(), (0..12).collect::<Vec<_>>());
        worker.shutdown().await.unwrap();
    }
}

/// The runs that follow know an update by its id, and say where its answer is: live and after a load, open and closed,
/// through memory and by rows.
#[tokio::test]
async fn an_update_is_known_along_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let first = worker(&there, 1).await;
    let diaries = [here.client(), there.client()].map(|client| client.task_queue("chains"));
    let diary = diaries[0].start(Diary::run(Vec::new())).id("diary").await.unwrap();
    let handles = diaries.each_ref().map(|client| client.handle::<Diary>("diary"));
    diary.tell(1).await.unwrap();
    diary.tell(2).await.unwrap();
    assert_eq!(diary.ask(3).request_id("u3").await.unwrap(), 3);
    for run in 0..2 {
        for handle in &handles {
            assert_eq!(handle.ask(9).request_id("u3").await.unwrap(), 3, "run {run}");
            assert_eq!(handle.ask(9).request_id("u3").accepted().await.unwrap().result().await.unwrap(), 3);
            assert_eq!(handle.updates().ask("u3").result().await.unwrap(), 3);
            assert!(matches!(handle.updates().ask("u4").result().await, Err(UpdateError::Unknown)));
        }
        for n in [4, 5, 6] {
            diary.tell(n + 3 * run).await.unwrap();
        }
    }
    first.shutdown().await.unwrap();
    let second = worker(&there, usize::MAX).await;
    assert_eq!(handles[1].ask(9).request_id("u3").await.unwrap(), 3, "after a load");
    diary.close().await.unwrap();
    assert_eq!(diary.result().await.unwrap(), (1..=9).collect::<Vec<_>>());
    for handle in &handles {
        assert_eq!(handle.updates().ask("u3").result().await.unwrap(), 3, "of a closed chain");
        assert_eq!(handle.ask(9).request_id("u3").await.unwrap(), 3);
    }
    second.shutdown().await.unwrap();
}

/// The worker is in another process than the sender.
#[tokio::test]
async fn a_sender_elsewhere_reaches_the_open_run() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let diary = here.client().task_queue("chains").start(Diary::run(Vec::new())).await.unwrap();
    let worker = worker(&there, usize::MAX).await;
    for n in 0..10 {
        diary.tell(n).await.unwrap();
    }
    diary.close().await.unwrap();
    assert_eq!(diary.result().await.unwrap(), (0..10).collect::<Vec<_>>());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_request_to_cancel_moves_to_the_next_run() {
    let db = Db::new().await;
    let worker = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(Shielded::run(true)).await.unwrap();
    run.cancel("enough").await.unwrap();
    run.open().await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    let newest = db.client().execution(run.id()).describe().await.unwrap();
    assert_ne!(Some(newest.run_id.as_str()), run.run_id(), "the next run was cancelled");
    assert_eq!(newest.cancel_reason.as_deref(), Some("enough"));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn another_workflow_that_returns_the_same_may_go_on() {
    let db = Db::new().await;
    let worker = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(first_half(1)).id("halves").await.unwrap();
    assert_eq!(run.result().await.unwrap(), 12);
    // A handle by id is of the chain's first workflow, or of the run's own.
    assert_eq!(db.client().handle::<first_half>("halves").result().await.unwrap(), 12);
    assert_eq!(db.client().handle::<second_half>("halves").result().await.unwrap(), 12);
    let other = db.client().handle::<count>("halves").result().await.unwrap_err();
    assert!(matches!(other, WorkflowError::Client(error) if error.code() == "AB0416"));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_run_tells_itself_as_it_goes_on_is_told_to_the_next() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let worker = worker(&db.abide, cache_bytes).await;
        let run = db.client().start(Echo::run(1)).id("echo").await.unwrap();
        run.tell(3).await.unwrap();
        let mut told = run.result().await.unwrap();
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3]);
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn compensations_would_be_lost() {
    let db = Db::new().await;
    let worker = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(with_saga()).await.unwrap();
    let reason = reason(run.result().await);
    assert_eq!(reason.code(), "AB0616");
    run.terminate("it was a test").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_run_of_a_chain_is_one_commit() {
    let db = Db::new().await;
    let worker = worker(&db.abide, usize::MAX).await;
    let before = db.abide.metrics();
    let run = db.client().start(count(0, 3)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(db.abide.metrics().batches - before.batches, 4);
    worker.shutdown().await.unwrap();
}

/// They do nothing but go on, and begin a second after the creation of the one before: two a second.
#[tokio::test]
async fn fifty_runs_follow_each_other() {
    let db = Db::new().await;
    let worker = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(count(0, 49)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 49);
    worker.shutdown().await.unwrap();
}

/// The worker ends while a run waits for its time, and another one goes on.
#[tokio::test]
async fn a_run_that_waits_for_its_time_goes_on_elsewhere() {
    let db = Db::new().await;
    let first = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(count(0, 4)).await.unwrap();
    first.shutdown().await.unwrap();
    let second = worker(&db.abide, usize::MAX).await;
    assert_eq!(run.result().await.unwrap(), 4);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_long_chain_takes_no_time_in_a_test_environment() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("chains").workflow(count).start().await.unwrap();
    let run = env.client().start(count(0, 9_999)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 9_999, "10,000 runs");
    worker.shutdown().await.unwrap();
}
