//! What the log says: runs that begin and end, failed attempts, workers; and the spans that user code is in.

use super::listeners::{engine_told, listen};
use super::support::{Db, eventually};
use abide::Serving;
use abide::prelude::*;

/// Fails twice, and tells the log of its third attempt.
#[activity(retry(initial_interval = "1ms"))]
async fn third_time() -> Result<u32, Failure> {
    match activity::context().attempt() {
        attempt @ 1..=2 => Err(Failure::new(format!("no {attempt}"))),
        attempt => {
            tracing::info!(target: "abide::activity", "the third time");
            Ok(attempt)
        }
    }
}

#[activity]
fn never() -> Result<(), Failure> {
    tracing::info!(target: "abide::activity", "on a thread that may block");
    Err(Failure::new("declined").non_retryable())
}

#[workflow]
async fn unlucky() -> Result<(), Failure> {
    third_time().await?;
    tracing::info!(target: "abide::workflow", "halfway");
    Ok(never().await?)
}

#[workflow]
async fn waits_for_ever() {
    workflow::sleep(days(30)).await;
}

fn steps(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(unlucky).activity(third_time).activity(never)
}

#[tokio::test]
async fn a_run_is_told_from_its_start_to_its_end_with_each_failed_attempt() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("log-runs").include(steps).start().await.unwrap();
    let run = db.client().start(unlucky()).id("log-unlucky").await.unwrap();
    run.result().await.unwrap_err();
    worker.shutdown().await.unwrap();

    let told = engine_told("log-unlucky");
    let has =
        |words: &[&str]| told.iter().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(has(&["a workflow has begun", "workflow_type=\"unlucky\""]), 1, "{told:#?}");
    for attempt in [1, 2] {
        let words = format!(
            "AB0626: attempt {attempt} of activity `third_time` of workflow `log-unlucky` has failed: no \
             {attempt}; attempt {} follows in",
            attempt + 1
        );
        assert_eq!(has(&[&words]), 1, "{told:#?}");
    }
    assert_eq!(
        has(&["attempt 1 of activity `never`", "has failed: declined; it is not tried again"]),
        1,
        "{told:#?}"
    );
    assert_eq!(has(&["a workflow has ended: failed", "error=declined"]), 1, "{told:#?}");
    // Bodies are in spans that say whose they are.
    assert_eq!(has(&["activity{activity=\"third_time\"", "attempt=3", "the third time"]), 1, "{told:#?}");
    assert_eq!(has(&["activity{activity=\"never\"", "on a thread that may block"]), 1, "{told:#?}");
    assert_eq!(has(&["workflow{workflow_type=\"unlucky\"", "halfway"]), 1, "{told:#?}");

    let workers = engine_told("log-runs");
    assert!(workers[0].contains("a worker has started") && workers[0].contains("third_time"), "{workers:#?}");
    assert!(workers.last().is_some_and(|line| line.contains("a worker has stopped")), "{workers:#?}");
}

#[tokio::test]
async fn a_worker_that_is_dropped_with_work_is_told() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("log-dropped").workflow(waits_for_ever).start().await.unwrap();
    let run = db.client().start(waits_for_ever()).await.unwrap();
    drop(worker);
    eventually("it is told", async || engine_told("`log-dropped` was dropped").len() == 1).await;
    let told = engine_told("`log-dropped` was dropped");
    assert!(told[0].contains("AB0625") && told[0].contains("while it had 1 runs and 0 attempts"), "{told:?}");
    run.terminate("the test ends").await.unwrap();
}

#[tokio::test]
async fn a_worker_runs_until_it_is_asked_to_stop() {
    let db = Db::new().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(db.abide.worker("until").include(steps).run_until(stopped));
    let run = db.client().start(unlucky()).task_queue("until").await.unwrap();
    run.result().await.unwrap_err();
    stop.send(()).unwrap();
    worker.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_task_queue_that_nobody_serves_is_told() {
    listen();
    let db = Db::new().await;
    let run = db.client().start(waits_for_ever()).id("log-unserved").task_queue("log-ordres").await.unwrap();
    let serving = async || run.describe().await.unwrap().serving;
    assert_eq!(serving().await, Some(Serving::NoWorker));
    let activities = db.abide.worker("log-ordres").activity(never).start().await.unwrap();
    assert_eq!(serving().await, Some(Serving::ActivitiesOnly));
    let told = async || engine_told("AB0627: workflow `log-unserved`").len();
    tokio::select! {
        _ = run.result() => panic!("nobody runs it"),
        () = eventually("it is told", async || told().await == 1) => {}
    }
    let line = engine_told("AB0627: workflow `log-unserved`").remove(0);
    assert!(
        line.contains(
            "waits on task queue `log-ordres`: the live workers of its task queue have activities only"
        ),
        "{line}"
    );
    let worker = db.abide.worker("log-ordres").workflow(waits_for_ever).start().await.unwrap();
    assert_eq!(serving().await, Some(Serving::Served));
    run.terminate("the test ends").await.unwrap();
    assert_eq!(serving().await, None);
    worker.shutdown().await.unwrap();
    activities.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_start_that_nobody_takes_is_told_though_nobody_waits_for_it() {
    listen();
    let db = Db::new().await;
    let client = db.client().task_queue("log-bare");
    let first = client.start(waits_for_ever()).id("log-bare-1").await.unwrap();
    let second = client.start(waits_for_ever()).id("log-bare-2").await.unwrap();
    eventually("it is told", async || engine_told("AB0627: workflow `log-bare-1`").len() == 1).await;
    assert!(engine_told("AB0627: workflow `log-bare-2`").is_empty(), "one line for a task queue");
    first.terminate("the test ends").await.unwrap();
    second.terminate("the test ends").await.unwrap();
}

/// Knows one signal.
#[derive(Default)]
struct Known {
    told: bool,
}

#[workflow(name = "Known")]
impl Known {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.told).await;
    }

    #[signal]
    fn end(&mut self) {
        self.told = true;
    }
}

/// The same workflow, as a newer client knows it.
#[derive(Default)]
struct KnownBetter;

#[workflow(name = "Known")]
impl KnownBetter {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn hurry(&mut self) {}
}

#[tokio::test]
async fn an_end_with_a_signal_that_nobody_took_is_told() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("log-known").workflow(Known::run).start().await.unwrap();
    let run = db.client().start(Known::run()).id("log-known").await.unwrap();
    db.client().handle::<KnownBetter>("log-known").hurry().await.unwrap();
    run.end().await.unwrap();
    run.result().await.unwrap();
    eventually("it is told", async || engine_told("AB0629: workflow `log-known`").len() == 1).await;
    let line = engine_told("AB0629: workflow `log-known`").remove(0);
    assert!(line.contains("no handler has taken 1 of its signals: `hurry`"), "{line}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_reason_of_a_cancel_is_told() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("log-reason").workflow(waits_for_ever).start().await.unwrap();
    let run = db.client().start(waits_for_ever()).id("log-reason").await.unwrap();
    assert_eq!(run.describe().await.unwrap().cancel_reason, None);
    run.cancel("the customer left").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(run.describe().await.unwrap().cancel_reason.as_deref(), Some("the customer left"));
    let told = || {
        engine_told("a workflow has ended: cancelled")
            .into_iter()
            .any(|line| line.contains("the customer left"))
    };
    eventually("it is told", async || told()).await;
    worker.shutdown().await.unwrap();
}

/// Ends while its handler waits.
#[derive(Default)]
struct Hasty {
    told: bool,
}

#[workflow]
impl Hasty {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.told).await;
    }

    #[signal]
    async fn linger(&mut self) {
        self.told = true;
        workflow::sleep(days(1)).await;
    }
}

#[tokio::test]
async fn a_handler_that_is_cut_off_is_told() {
    listen();
    let db = Db::new().await;
    let worker = db.abide.worker("log-hasty").workflow(Hasty::run).start().await.unwrap();
    let run = db.client().start(Hasty::run()).id("log-hasty").await.unwrap();
    run.linger().await.unwrap();
    run.result().await.unwrap();
    worker.shutdown().await.unwrap();
    let [told] = engine_told("AB0628: workflow `log-hasty`").try_into().unwrap();
    assert!(told.contains("its handler of signal `linger` is unfinished"), "{told}");
}

#[tokio::test]
async fn a_worker_s_queue_has_a_name() {
    let db = Db::new().await;
    let Err(error) = db.abide.worker("").include(steps).start().await else { panic!("it has none") };
    assert_eq!(error.code(), "AB0412");
}
