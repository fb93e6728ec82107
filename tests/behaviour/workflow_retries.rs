//! Workflows that are tried again as a whole: after a failure, after a time limit, as children, and when not.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use abide::{ExecutionStatus, ExecutionSummary, ListFilter};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Attempt `good` is the first that succeeds.
#[workflow(
    name = "retried.flaky",
    retry(max_attempts = 4, initial_interval = "20ms", backoff_coefficient = 1.0)
)]
async fn flaky(good: u32) -> Result<u32, Failure> {
    let attempt = Steps::note(workflow::info().attempt).await?;
    if attempt < good { Err(Failure::new(format!("attempt {attempt}"))) } else { Ok(attempt) }
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
enum Trouble {
    #[error("busy")]
    Busy,
    #[error("hopeless")]
    Hopeless,
}

impl Trouble {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Busy)
    }

    fn wait(&self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }
}

/// The error's type says whether another attempt may help, and when.
#[workflow(retry(max_attempts = 3, initial_interval = "1h"), retry_if = Trouble::may_pass, retry_after = Trouble::wait)]
async fn typed(hopeless_from: u32) -> Result<u32, Trouble> {
    let attempt = workflow::info().attempt;
    Err(if attempt < hopeless_from { Trouble::Busy } else { Trouble::Hopeless })
}

/// Fails in the way that is asked for.
#[workflow(retry(max_attempts = 3, initial_interval = "20ms"))]
async fn fails(how: String) -> Result<u32, Failure> {
    let mut saga = workflow::saga();
    match how.as_str() {
        "for good" => return Err(Failure::new("no").non_retryable()),
        "by an activity" => Steps::refuse("hotel".to_owned()).await?,
        "undone" | "bad" => saga.on_failure(Steps::undo(how.clone())),
        _ => {}
    }
    Err(Failure::new("down"))
}

/// Its first attempt does not end by itself.
#[workflow(run_timeout = "1500ms", retry(max_attempts = 2, initial_interval = "20ms"))]
async fn hangs(how: String) -> Result<u32, Failure> {
    let attempt = workflow::info().attempt;
    match (attempt, how.as_str()) {
        (1, "suspended") => assert!(workflow::allow!("the bug that suspends it", false), "a bug"),
        (1, "works") => drop(Steps::endless("call".to_owned()).await?),
        (1, _) | (_, "always") => workflow::sleep(days(1)).await,
        _ => {}
    }
    Ok(attempt)
}

/// Fails once in each of two runs of its chain.
#[workflow(retry(max_attempts = 2, initial_interval = "20ms"))]
async fn in_two_parts(part: u32, seen: Vec<u32>) -> Result<Vec<u32>, Failure> {
    let attempt = workflow::info().attempt;
    let seen = [seen, vec![10 * part + attempt]].concat();
    match (part, attempt) {
        (_, 1) => Err(Failure::new("once")),
        (1, _) => workflow::continue_as_new(in_two_parts(2, seen)).await,
        _ => Ok(seen),
    }
}

#[workflow]
async fn parent(good: u32, policy: Option<RetryPolicy>) -> Result<u32, Failure> {
    Ok(match policy {
        Some(policy) => flaky(good).retry(policy).await?,
        None => flaky(good).await?,
    })
}

/// Lets its caller through when the test says so.
struct Gate(Arc<Semaphore>);

#[activity]
impl Gate {
    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }
}

/// Fails until it is told something. What it undoes then waits at the gate.
#[derive(Default)]
struct Patient {
    told: Vec<u32>,
}

#[workflow(name = "retried.Patient", retry(initial_interval = "20ms"))]
impl Patient {
    #[run]
    async fn run(&mut self) -> Result<Vec<u32>, Failure> {
        let mut saga = workflow::saga();
        saga.on_failure(Gate::pass());
        if self.told.is_empty() { Err(Failure::new("nobody told me")) } else { Ok(self.told.clone()) }
    }

    #[signal]
    fn tell(&mut self, what: u32) {
        self.told.push(what);
    }
}

async fn worker(abide: &Abide, cache_bytes: usize) -> (Worker, Log) {
    let (log, gate) = (Log::default(), Arc::new(Semaphore::new(0)));
    (worker_with(abide, cache_bytes, &log, &gate).await, log)
}

async fn worker_with(abide: &Abide, cache_bytes: usize, log: &Log, gate: &Arc<Semaphore>) -> Worker {
    let builder = abide.worker("retried").workflow(flaky).workflow(typed).workflow(fails).workflow(hangs);
    let builder = builder.workflow(in_two_parts).workflow(parent).workflow(Patient::run);
    let builder = builder.activities(Steps(log.clone())).activities(Gate(Arc::clone(gate)));
    builder.cache_bytes(cache_bytes).start().await.unwrap()
}

fn quickly(max_attempts: u32) -> RetryPolicy {
    let initial_interval = Duration::from_millis(20);
    RetryPolicy { max_attempts, initial_interval, backoff_coefficient: 1.0, max_interval: None }
}

/// The runs of a workflow id, the oldest first.
async fn runs(db: &Db, id: &str) -> Vec<ExecutionSummary> {
    let mut all = db.client().list(ListFilter::new().id_prefix(id)).await.unwrap().executions;
    all.reverse();
    for pair in all.windows(2) {
        assert_eq!(pair[0].next_run_id.as_ref(), Some(&pair[1].run_id), "{all:?}");
    }
    all
}

fn statuses(runs: &[ExecutionSummary]) -> Vec<ExecutionStatus> {
    runs.iter().map(|run| run.status).collect()
}

use ExecutionStatus::{Cancelled, Completed, ContinuedAsNew, Failed, Terminated, TimedOut};

#[tokio::test]
async fn a_workflow_is_tried_again_until_it_succeeds() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let (worker, log) = worker(&db.abide, cache_bytes).await;
        let run = db.client().start(flaky(3)).id("flaky").await.unwrap();
        assert_eq!(run.result().await.unwrap(), 3);
        assert_eq!(log.lines(), ["note 1", "note 2", "note 3"]);
        let all = runs(&db, "flaky").await;
        assert_eq!(statuses(&all), [Failed, Failed, Completed]);
        let first = run.describe().await.unwrap();
        assert_eq!((first.status, first.next_run_id.as_ref()), (Failed, Some(&all[1].run_id)));
        let last = db.client().handle::<flaky>("flaky").describe().await.unwrap();
        assert_eq!((last.status, last.previous_run_id.as_ref()), (Completed, Some(&all[1].run_id)));
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_last_attempt_is_the_result() {
    let db = Db::new().await;
    let (worker, _) = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(flaky(9)).id("flaky").await.unwrap();
    assert_eq!(run.result().await.unwrap_err().to_string(), "attempt 4");
    assert_eq!(statuses(&runs(&db, "flaky").await), [Failed; 4]);
    // What a start says goes before the attribute.
    let twice = db.client().start(flaky(9)).id("twice").retry(quickly(2)).await.unwrap();
    assert_eq!(twice.result().await.unwrap_err().to_string(), "attempt 2");
    let once = db.client().start(flaky(9)).id("once").retry(quickly(1)).await.unwrap();
    assert_eq!(once.result().await.unwrap_err().to_string(), "attempt 1");
    let hurried = RetryPolicy { initial_interval: Duration::ZERO, ..RetryPolicy::default() };
    let refused = db.client().start(flaky(9)).retry(hurried).await.unwrap_err();
    assert_eq!(refused.code(), "AB0432");
    assert!(refused.to_string().contains("the retry policy of workflow `retried.flaky`"), "{refused}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_error_that_no_retry_can_fix_is_the_last() {
    let db = Db::new().await;
    let (worker, log) = worker(&db.abide, usize::MAX).await;
    for (how, told) in [("for good", "no"), ("by an activity", "hotel refused")] {
        let run = db.client().start(fails(how.to_owned())).id(how).await.unwrap();
        assert_eq!(run.result().await.unwrap_err().to_string(), told);
        assert_eq!(statuses(&runs(&db, how).await), [Failed], "{how}");
    }
    assert_eq!(log.lines(), ["refuse hotel"]);
    // The attribute asks the error, also for the wait.
    let run = db.client().start(typed(2)).id("typed").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Failed(Trouble::Hopeless))));
    assert_eq!(statuses(&runs(&db, "typed").await), [Failed; 2]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn compensations_run_before_the_next_attempt() {
    let db = Db::new().await;
    let (worker, log) = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(fails("undone".to_owned())).id("undone").await.unwrap();
    assert_eq!(run.result().await.unwrap_err().to_string(), "down");
    assert_eq!(log.lines(), ["undo undone"; 3], "once in each attempt");
    // A step that is not undone would be done twice.
    let run = db.client().start(fails("bad".to_owned())).id("bad").await.unwrap();
    assert_eq!(run.result().await.unwrap_err().compensation_failures().len(), 1);
    assert_eq!(statuses(&runs(&db, "bad").await), [Failed]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_whose_time_is_up_is_tried_again() {
    for (how, cache_bytes) in [("waits", usize::MAX), ("waits", 1), ("works", usize::MAX), ("suspended", 1)] {
        let db = Db::new().await;
        let (worker, log) = worker(&db.abide, cache_bytes).await;
        let run = db.client().start(hangs(how.to_owned())).id("hangs").await.unwrap();
        if how == "suspended" {
            assert!(matches!(run.result().await, Err(WorkflowError::Suspended(_))));
            let next = async || runs(&db, "hangs").await.len() == 2;
            eventually("the next attempt", next).await;
        }
        assert_eq!(run.result().await.unwrap(), 2, "{how}");
        assert_eq!(statuses(&runs(&db, "hangs").await), [TimedOut, Completed]);
        if how == "works" {
            eventually("it stops", async || log.lines().contains(&"stopped call".to_owned())).await;
        }
        worker.shutdown().await.unwrap();
    }
    let db = Db::new().await;
    let (worker, _) = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(hangs("always".to_owned())).id("always").await.unwrap();
    let Err(WorkflowError::TimedOut { kind: TimeoutKind::Run }) = run.result().await else { panic!("no") };
    assert_eq!(statuses(&runs(&db, "always").await), [TimedOut; 2]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_time_of_the_chain_bounds_all_attempts() {
    let db = Db::new().await;
    let (worker, _) = worker(&db.abide, usize::MAX).await;
    let hourly = RetryPolicy { initial_interval: Duration::from_secs(3_600), ..RetryPolicy::default() };
    let start = db.client().start(flaky(9)).id("flaky").retry(hourly.clone());
    let run = start.execution_timeout(mins(30)).await.unwrap();
    assert_eq!(run.result().await.unwrap_err().to_string(), "attempt 1", "the second would begin too late");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_parent_sees_the_last_attempt_of_its_child() {
    for cache_bytes in [usize::MAX, 1] {
        let db = Db::new().await;
        let (worker, log) = worker(&db.abide, cache_bytes).await;
        let run = db.client().start(parent(2, None)).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 2);
        assert_eq!(log.lines(), ["note 1", "note 2"]);
        let failed = db.client().start(parent(9, Some(quickly(3)))).await.unwrap();
        assert_eq!(failed.result().await.unwrap_err().to_string(), "attempt 3");
        assert_eq!(log.lines().len(), 5);
        let once = db.client().start(parent(9, Some(quickly(1)))).await.unwrap();
        assert_eq!(once.result().await.unwrap_err().to_string(), "attempt 1");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_run_that_continues_as_new_has_all_its_attempts_again() {
    let db = Db::new().await;
    let (worker, _) = worker(&db.abide, usize::MAX).await;
    let run = db.client().start(in_two_parts(1, Vec::new())).id("parts").await.unwrap();
    assert_eq!(run.result().await.unwrap(), [12, 22], "each attempt begins with the arguments of its part");
    assert_eq!(statuses(&runs(&db, "parts").await), [Failed, ContinuedAsNew, Failed, Completed]);
    worker.shutdown().await.unwrap();
}

/// The first worker ends while an attempt waits for its time.
#[tokio::test]
async fn another_worker_goes_on_with_the_attempts() {
    let db = Db::new().await;
    let (first, _) = worker(&db.abide, usize::MAX).await;
    let slowly = RetryPolicy { initial_interval: Duration::from_millis(400), ..quickly(0) };
    let run = db.client().start(flaky(3)).id("flaky").retry(slowly).await.unwrap();
    eventually("it fails", async || runs(&db, "flaky").await.len() == 2).await;
    first.shutdown().await.unwrap();
    let taken = db.client().start(flaky(1)).id("flaky").task_queue("retried").await.unwrap_err();
    assert_eq!(taken.code(), "AB0401", "its id is taken while an attempt waits");
    let (second, log) = worker(&db.abide, usize::MAX).await;
    assert_eq!(run.result().await.unwrap(), 3);
    assert_eq!(log.lines(), ["note 2", "note 3"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_waits_is_begun_cancelled_and_ended_by_messages() {
    let db = Db::new().await;
    let (worker, _) = worker(&db.abide, usize::MAX).await;
    let policy = RetryPolicy { initial_interval: Duration::from_secs(3_600), ..RetryPolicy::default() };
    let failed = async |id: &str| {
        let run = db.client().start(flaky(2)).id(id).retry(policy.clone()).await.unwrap();
        eventually("it fails", async || runs(&db, id).await.len() == 2).await;
        run
    };
    let cancelled = failed("cancelled").await;
    let waits = db.client().handle::<flaky>("cancelled").describe().await.unwrap();
    assert_eq!(waits.attempt, 2);
    assert_eq!(waits.begins_at, Some(waits.created_at + Duration::from_secs(3_600)));
    cancelled.cancel("not wanted any more").await.unwrap();
    assert!(matches!(cancelled.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(statuses(&runs(&db, "cancelled").await), [Failed, Cancelled]);
    let terminated = failed("terminated").await;
    terminated.terminate("enough").await.unwrap();
    assert!(matches!(terminated.result().await, Err(WorkflowError::Terminated)));
    assert_eq!(statuses(&runs(&db, "terminated").await), [Failed, Terminated]);
    worker.shutdown().await.unwrap();
}

/// A signal that comes when the run has failed, while a compensation of it runs, is the next attempt's.
#[tokio::test]
async fn a_signal_after_the_failure_is_for_the_next_attempt() {
    for cache_bytes in [usize::MAX, 1] {
        let (db, log, gate) = (Db::new().await, Log::default(), Arc::new(Semaphore::new(0)));
        let worker = worker_with(&db.abide, cache_bytes, &log, &gate).await;
        let run = db.client().start(Patient::run()).id("patient").await.unwrap();
        let undoes = async || !run.describe().await.unwrap().pending_activities.is_empty();
        eventually("it has failed", undoes).await;
        run.tell(7).await.unwrap();
        run.tell(8).await.unwrap();
        gate.add_permits(9);
        assert_eq!(run.result().await.unwrap(), [7, 8]);
        assert_eq!(statuses(&runs(&db, "patient").await), [Failed, Completed]);
        worker.shutdown().await.unwrap();
    }
}
