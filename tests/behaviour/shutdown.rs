//! A graceful shutdown loses nothing: not what runs, not what waits for a slot, no timer, no message.

use super::ends::Gate;
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::time::Duration;

/// Activities that take their time.
struct Slow(Log);

#[activity]
impl Slow {
    /// Ends by itself, soon.
    async fn soon(&self, n: u32) -> u32 {
        self.0.add(format!("soon {n} attempt {}", abide::activity::context().attempt()));
        tokio::time::sleep(Duration::from_millis(300)).await;
        n
    }

    /// The first attempt ends when asked to stop, the second at once.
    async fn stubborn(&self) -> Result<u32, Failure> {
        let context = abide::activity::context();
        self.0.add(format!("stubborn {}", context.attempt()));
        if context.attempt() > 1 {
            return Ok(context.attempt());
        }
        context.cancelled().await;
        Err(Failure::new("asked to stop"))
    }

    /// Is waited for where it is given up.
    #[activity(cancellation = "wait")]
    async fn queued(&self) {
        self.0.add("queued");
    }

    /// Cannot be asked.
    #[activity(retry(max_attempts = 1))]
    async fn deaf(&self) -> u32 {
        self.0.add("deaf");
        std::future::pending().await
    }
}

#[workflow]
async fn runs_soon(of: u32) -> Result<u32, Failure> {
    let all = futures::future::join_all((0..of).map(Slow::soon)).await;
    Ok(all.into_iter().sum::<Result<u32, _>>()?)
}

#[workflow]
async fn runs_stubborn() -> Result<u32, Failure> {
    Ok(Slow::stubborn().await?)
}

#[workflow]
async fn runs_deaf() -> Result<u32, CallError> {
    Slow::deaf().await
}

#[workflow]
async fn sleeps(n: u32) -> Result<u32, Failure> {
    workflow::sleep(Duration::from_millis(400)).await;
    Ok(Steps::note(n).await?)
}

#[derive(Default)]
struct Letters(u32);

#[workflow]
impl Letters {
    #[run]
    async fn run(&mut self, wanted: u32) -> u32 {
        workflow::until!(self.0 >= wanted).await;
        self.0
    }

    #[signal]
    fn letter(&mut self) {
        self.0 += 1;
    }
}

fn worker(db: &Db, log: &Log) -> abide::WorkerBuilder {
    let builder = db.abide.worker("shutdown").workflow(runs_soon).workflow(runs_stubborn).workflow(runs_deaf);
    let builder = builder.workflow(sleeps).workflow(Letters::run);
    builder.activities(Slow(log.clone())).activities(Steps(log.clone()))
}

#[tokio::test]
async fn what_runs_may_finish() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).start().await.unwrap();
    let run = db.client().start(runs_soon(5)).await.unwrap();
    eventually("all run", async || log.lines().len() == 5).await;
    first.shutdown().await.unwrap();
    assert!(run.describe().await.unwrap().history_length > 6, "results were written before it left");
    let second = worker(&db, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    assert_eq!(log.lines().len(), 5, "nothing ran twice");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_only_waits_for_a_slot_loses_nothing() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).max_concurrent_activities(1).start().await.unwrap();
    let run = db.client().start(runs_soon(4)).await.unwrap();
    eventually("one runs", async || log.lines().len() == 1).await;
    first.shutdown().await.unwrap();
    assert_eq!(log.lines().len(), 1, "nothing new began");
    let pending = run.describe().await.unwrap().pending_activities;
    assert_eq!(pending.len(), 3);
    assert!(pending.iter().all(|activity| activity.attempt == 1 && activity.last_failure.is_none()));
    let second = worker(&db, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 6);
    assert!(log.lines().iter().all(|line| line.ends_with("attempt 1")), "{:?}", log.lines());
    assert_eq!(log.lines().len(), 4);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_does_not_finish_is_a_failed_attempt() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).shutdown_grace(Duration::from_millis(50)).start().await.unwrap();
    let run = db.client().start(runs_stubborn()).await.unwrap();
    eventually("it runs", async || log.lines().len() == 1).await;
    first.shutdown().await.unwrap();
    let pending = run.describe().await.unwrap().pending_activities;
    let failure = pending[0].last_failure.clone().expect("the attempt was lost");
    assert_eq!((pending[0].attempt, failure.kind), (2, abide::history::FailureKind::WorkerShutdown));
    let second = worker(&db, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(log.lines(), ["stubborn 1", "stubborn 2"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_may_run_once_never_runs_twice() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).shutdown_grace(Duration::from_millis(50)).start().await.unwrap();
    let run = db.client().start(runs_deaf()).await.unwrap();
    eventually("it runs", async || log.lines().len() == 1).await;
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).start().await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Failed(CallError::WorkerLost))));
    assert_eq!(log.lines(), ["deaf"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn timers_go_on() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).start().await.unwrap();
    let mut runs = Vec::new();
    for n in 0..10 {
        runs.push(db.client().start(sleeps(n)).await.unwrap());
    }
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).start().await.unwrap();
    for (n, run) in (0..10).zip(&runs) {
        assert_eq!(run.result().await.unwrap(), n);
    }
    assert_eq!(log.lines().len(), 10);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn messages_and_starts_during_it_are_kept() {
    const LETTERS: u32 = 60;
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db, &log).start().await.unwrap();
    let client = db.client().task_queue("shutdown");
    let run = client.start(Letters::run(LETTERS)).await.unwrap();
    let (handle, starting) = (run.clone(), client.clone());
    let sender = tokio::spawn(async move {
        let mut started = Vec::new();
        for n in 0..LETTERS {
            handle.letter().await.unwrap();
            started.push(starting.start(sleeps(n)).await.unwrap());
        }
        started
    });
    eventually("some have arrived", async || run.describe().await.unwrap().history_length > 5).await;
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).start().await.unwrap();
    let started = sender.await.unwrap();
    assert_eq!(run.result().await.unwrap(), LETTERS);
    for run in &started {
        run.result().await.unwrap();
    }
    assert!(log.counts().values().all(|times| *times == 1));
    second.shutdown().await.unwrap();
}

#[workflow]
async fn at_the_gate() -> Result<(), Failure> {
    Ok(Gate::pass().await?)
}

#[tokio::test]
async fn another_worker_takes_over_at_once() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let build = || db.abide.worker("shutdown").workflow(at_the_gate).activities(gate.clone());
    let first = build().shutdown_grace(secs(0)).start().await.unwrap();
    let run = db.client().start(at_the_gate()).await.unwrap();
    Gate::reached(&run.untyped()).await;
    let second = build().start().await.unwrap();
    first.shutdown().await.unwrap();
    gate.open();
    run.result().await.unwrap();
    second.shutdown().await.unwrap();
}

/// Given up while it waits for a slot, it is waited for.
#[workflow]
async fn gives_up() -> Result<bool, Failure> {
    Ok(workflow::timeout(Duration::from_millis(300), Slow::queued()).await.is_err())
}

/// PROTOCOL 17: at a shutdown the runner never reports an attempt that only waits for a slot. The next owner of
/// the run finds that out at once.
#[tokio::test]
async fn what_is_given_up_during_the_grace_while_it_waits_for_a_slot_ends_under_the_next_worker() {
    let (db, log) = (Db::new().await, Log::default());
    let builder = || worker(&db, &log).workflow(gives_up).max_concurrent_activities(1);
    let first = builder().shutdown_grace(Duration::from_secs(1)).start().await.unwrap();
    let other = db.client().start(runs_stubborn()).await.unwrap();
    eventually("the slot is taken", async || !log.lines().is_empty()).await;
    let run = db.client().start(gives_up()).await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(
        run.describe().await.unwrap().status,
        ExecutionStatus::Running,
        "it waits for its activity's end"
    );
    let second = builder().start().await.unwrap();
    assert!(run.result().await.unwrap(), "it was given up");
    assert!(!log.lines().contains(&"queued".to_owned()), "{:?}", log.lines());
    assert_eq!(other.result().await.unwrap(), 2);
    second.shutdown().await.unwrap();
}
