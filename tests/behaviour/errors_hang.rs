//! What does not move: activities that never return, workflows that wait for nothing, workflows that block.

use super::ends::{events, reason, says};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// An activity that never returns and notes when it is asked to stop.
struct Stuck(Log);

#[activity]
impl Stuck {
    async fn hang(&self, name: String) {
        let (log, context) = (self.0.clone(), abide::activity::context());
        log.add(format!("attempt {} of {name}", context.attempt()));
        tokio::spawn(async move {
            context.cancelled().await;
            log.add(format!("cancelled {} of {name}", context.attempt()));
        });
        std::future::pending().await
    }
}

fn quickly(max_attempts: u32) -> RetryPolicy {
    let initial_interval = Duration::from_millis(10);
    RetryPolicy { initial_interval, max_attempts, ..RetryPolicy::default() }
}

#[workflow]
async fn each_attempt() -> Result<(), CallError> {
    Stuck::hang("each".to_owned()).start_to_close(Duration::from_millis(100)).retry(quickly(3)).await
}

#[workflow]
async fn all_attempts() -> Result<(), CallError> {
    Stuck::hang("all".to_owned()).schedule_to_close(Duration::from_millis(200)).retry(quickly(0)).await
}

#[workflow]
async fn both_limits() -> Result<(), CallError> {
    let call = Stuck::hang("both".to_owned()).start_to_close(Duration::from_millis(50));
    call.schedule_to_close(Duration::from_millis(400)).retry(quickly(0)).await
}

#[workflow]
async fn waits_for_nothing() -> u32 {
    workflow::assume_deterministic("a mistake", std::future::pending::<u32>()).await
}

#[workflow]
async fn waits_for_a_channel() -> Result<u32, Failure> {
    let (sender, receiver) = workflow::allow!("a mistake", tokio::sync::oneshot::channel::<u32>());
    std::mem::forget(sender);
    let got = workflow::assume_deterministic("a mistake", receiver).await?;
    Ok(got)
}

#[workflow]
async fn waits_beside_an_activity() -> Result<u32, Failure> {
    let (sender, receiver) = workflow::allow!("a mistake", tokio::sync::oneshot::channel::<u32>());
    std::mem::forget(sender);
    let hidden = async move { workflow::assume_deterministic("a mistake", receiver).await };
    let (got, stopped) = workflow::join!(hidden, Steps::endless("beside".to_owned()));
    stopped?;
    Ok(got?)
}

#[workflow]
async fn waits_after_a_step() -> Result<u32, Failure> {
    let got = Steps::note(1).await?;
    workflow::assume_deterministic("a mistake", std::future::pending::<()>()).await;
    Ok(got)
}

#[workflow(name = "waits_after_a_step")]
async fn goes_on_after_a_step() -> Result<u32, Failure> {
    Ok(Steps::note(1).await?)
}

#[tokio::test]
async fn an_activity_that_never_returns() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("hang").workflow(each_attempt).workflow(all_attempts).workflow(both_limits);
    let worker = worker.activities(Stuck(log.clone())).start().await.unwrap();
    let each = db.client().start(each_attempt()).await.unwrap();
    let all = db.client().start(all_attempts()).await.unwrap();
    let both = db.client().start(both_limits()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = each.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::StartToClose);
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = all.result().await else {
        panic!("no")
    };
    assert_eq!(kind, TimeoutKind::ScheduleToClose);
    let Err(WorkflowError::Failed(CallError::TimedOut { .. })) = both.result().await else { panic!("no") };
    eventually("each attempt was asked to stop", async || {
        let counts = log.counts();
        let asked = |what: &str| counts.keys().filter(|line| line.starts_with(what)).count();
        asked("attempt") == asked("cancelled")
    })
    .await;
    let counts = log.counts();
    assert_eq!(counts.keys().filter(|line| line.starts_with("attempt") && line.ends_with("each")).count(), 3);
    assert_eq!(counts.keys().filter(|line| line.starts_with("attempt") && line.ends_with("all")).count(), 1);
    assert!(counts.values().all(|times| *times == 1), "{counts:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_that_nothing_can_wake() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("hang").workflow(waits_for_nothing).workflow(waits_for_a_channel);
    let worker = worker
        .workflow(waits_beside_an_activity)
        .workflow(waits_after_a_step)
        .activities(Steps(log.clone()))
        .start()
        .await
        .unwrap();
    let told = reason(db.client().start(waits_for_nothing()).await.unwrap().result().await);
    assert_eq!(told.code(), "AB0204");
    says(told.message(), &["errors_hang.rs:", "pending::<u32>()"]);
    let run = db.client().start(waits_for_a_channel()).await.unwrap();
    // In the same poll: the start itself has told it, and there is nothing to wait for.
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Suspended);
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0204");
    says(told.message(), &["errors_hang.rs:", "receiver", "waits_for_a_channel", run.id()]);
    let described = run.describe().await.unwrap();
    says(told.message(), &[&described.run_id]);
    assert_eq!(described.awaiting.len(), 1);
    says(&described.awaiting[0].to_string(), &["errors_hang.rs:", "receiver"]);

    // Also where something else could wake the workflow.
    let run = db.client().start(waits_beside_an_activity()).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0204");
    says(told.message(), &["errors_hang.rs:", "waits_beside_an_activity", run.id()]);
    assert!(log.lines().is_empty(), "nothing of that turn was begun");

    let run = db.client().start(waits_after_a_step()).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0204");
    assert_eq!(events(&run.untyped()).await, 3, "started, scheduled, completed");
    worker.shutdown().await.unwrap();
    let fixed = db.abide.worker("hang").workflow(goes_on_after_a_step).activities(Steps(log.clone()));
    let fixed = fixed.start().await.unwrap();
    run.resume().await.unwrap();
    eventually("fixed code goes on", async || run.result().await.ok() == Some(1)).await;
    assert_eq!(log.lines(), ["note 1"]);
    fixed.shutdown().await.unwrap();
}

/// How often the blocking code has come to its end.
static RETURNED: AtomicU32 = AtomicU32::new(0);

#[workflow]
async fn blocks() -> Result<u32, Failure> {
    let got = Steps::note(1).await?;
    workflow::allow!("a mistake", std::thread::sleep(Duration::from_secs(4)));
    workflow::allow!("the test counts", RETURNED.fetch_add(1, Ordering::SeqCst));
    Ok(got + Steps::note(2).await?)
}

#[workflow]
async fn innocent(n: u32) -> Result<u32, Failure> {
    let mut sum = 0;
    for step in 0..n {
        sum += Steps::note(step + 10).await?;
    }
    Ok(sum)
}

#[workflow(name = "blocks")]
async fn does_not_block() -> Result<u32, Failure> {
    Ok(Steps::note(1).await? + Steps::note(2).await?)
}

#[tokio::test]
async fn a_workflow_that_blocks_its_thread() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("hang").workflow(blocks).workflow(innocent).workflow_threads(1);
    let worker = worker.activities(Steps(log.clone())).start().await.unwrap();
    let run = db.client().start(blocks()).await.unwrap();
    eventually("it blocks", async || !log.lines().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other = db.client().start(innocent(3)).await.unwrap();
    assert_eq!(other.result().await.unwrap(), 33);
    assert_eq!(RETURNED.load(Ordering::SeqCst), 0, "the other one did not wait for it");

    let mut told = None;
    for _ in 0..3_000 {
        if run.describe().await.unwrap().status == ExecutionStatus::Suspended {
            told = Some(reason(run.result().await));
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = told.expect("it is suspended");
    assert_eq!(told.code(), "AB0208");
    says(told.message(), &["blocked", "blocks"]);
    assert_eq!(events(&run.untyped()).await, 2, "what it did on a thread that was written off is nobody's");
    worker.shutdown().await.unwrap();

    let fixed = db.abide.worker("hang").workflow(does_not_block).activities(Steps(log.clone()));
    let fixed = fixed.start().await.unwrap();
    run.resume().await.unwrap();
    eventually("fixed code goes on", async || run.result().await.ok() == Some(3)).await;
    assert_eq!(log.counts()["note 1"], 1, "what its step gave was kept meanwhile");
    fixed.shutdown().await.unwrap();
}
