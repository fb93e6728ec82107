//! Cancellation is Rust's: the future is dropped at its await (PROTOCOL 29).

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

#[workflow]
async fn waits() -> Result<String, Failure> {
    Ok(Steps::endless("only".to_owned()).await?)
}

#[workflow]
async fn shields() -> Result<(), Failure> {
    workflow::shielded(async {
        Steps::note(1).await?;
        workflow::sleep(std::time::Duration::from_millis(300)).await;
        Steps::note(2).await
    })
    .await?;
    Steps::note(3).await?;
    Ok(())
}

#[workflow]
async fn decides() -> Result<String, Failure> {
    let reason = workflow::cancelled().await;
    Steps::note(9).await?;
    Ok(format!("went on after: {reason}"))
}

/// What each call of `workflow::cancelled()` gave.
#[derive(Default)]
struct Asked {
    reasons: Vec<String>,
    open: bool,
}

#[workflow]
impl Asked {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let both = workflow::join!(workflow::cancelled(), workflow::cancelled());
        self.reasons.extend([both.0, both.1]);
        workflow::until!(self.open).await;
        let next = workflow::cancelled().await;
        self.reasons.push(next);
        let last = workflow::cancelled().await;
        self.reasons.push(last);
        self.reasons.clone()
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn reasons(&self) -> Vec<String> {
        self.reasons.clone()
    }
}

#[workflow]
async fn loses() -> Result<String, Failure> {
    workflow::select! {
        _ = Steps::endless("loser".to_owned()) => Ok("activity".to_owned()),
        () = workflow::sleep(std::time::Duration::from_millis(50)) => Ok("timer".to_owned()),
    }
}

#[workflow]
async fn expires() -> bool {
    workflow::timeout(std::time::Duration::from_millis(50), Steps::endless("late".to_owned())).await.is_err()
}

async fn worker(db: &Db, log: &Log) -> abide::Worker {
    let builder =
        db.abide.worker("cancel").workflow(waits).workflow(shields).workflow(decides).workflow(loses);
    builder.workflow(expires).activities(Steps(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn a_cancelled_workflow_is_dropped_and_its_activity_sees_the_token() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(waits()).await.unwrap();
    eventually("it began", async || log.lines() == ["begin only"]).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    eventually("the activity stopped", async || log.lines().contains(&"stopped only".to_owned())).await;
    assert_eq!(run.describe().await.unwrap().status, abide::ExecutionStatus::Cancelled);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shielded_block_is_finished_first() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(shields()).await.unwrap();
    eventually("the block began", async || log.lines() == ["note 1"]).await;
    run.cancel("now").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    assert_eq!(log.lines(), ["note 1", "note 2"], "the block ends, what follows does not begin");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_workflow_may_decide_for_itself() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(decides()).await.unwrap();
    run.cancel("please stop").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "went on after: please stop");
    assert_eq!(log.lines(), ["note 9"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn each_call_waits_for_the_next_request_and_none_in_between_is_lost() {
    let db = Db::new().await;
    let first = db.abide.worker("cancel").workflow(Asked::run).start().await.unwrap();
    let run = db.client().start(Asked::run()).await.unwrap();
    run.cancel("one").await.unwrap();
    run.cancel("in between").await.unwrap();
    assert_eq!(run.reasons().await.unwrap(), ["one", "one"], "calls that wait at once give the same");
    first.shutdown().await.unwrap();
    // Replayed from here.
    let second = db.abide.worker("cancel").workflow(Asked::run).start().await.unwrap();
    run.open().await.unwrap();
    eventually("the one in between is given", async || {
        run.reasons().await.is_ok_and(|reasons| reasons == ["one", "one", "in between"])
    })
    .await;
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running, "the last call waits");
    run.cancel("last").await.unwrap();
    assert_eq!(run.result().await.unwrap(), ["one", "one", "in between", "last"]);
    second.shutdown().await.unwrap();
}

#[workflow]
async fn asks_twice() -> (String, String) {
    let first = workflow::cancelled().await;
    (first, workflow::cancelled().await)
}

/// A run that began under older rules keeps its first request for every call.
#[test]
fn a_run_of_older_rules_gives_the_first_request_again() {
    use abide::testing::replay::{History, Replayer};
    let history = |rules: u32, end: &str| {
        let json = format!(
            r#"{{"abide_history": 1, "workflow_type": "asks_twice", "workflow_id": "w", "run_id": "r", "task_queue": "q",
  "rows": [{{"seq": 1, "at_ms": 0, "events": [
      {{"started":{{"input":null,"seed":7,"rules":{rules}}}}},
      {{"cancel_requested":{{"request_id":"1","reason":"one"}}}}{end}
  ]}}]}}"#
        );
        History::from_json(&json).unwrap()
    };
    let replayer = Replayer::new().workflow(asks_twice);
    let twice = r#",{"completed":{"result":["one","one"]}}"#;
    replayer.replay(&history(1, twice)).assert_ok();
    replayer.replay(&history(2, "")).assert_ok();
    let report = replayer.replay(&history(2, twice));
    assert!(!report.is_ok(), "the second call waits: {report}");
    let next =
        r#",{"cancel_requested":{"request_id":"2","reason":"two"}},{"completed":{"result":["one","two"]}}"#;
    replayer.replay(&history(2, next)).assert_ok();
}

#[tokio::test]
async fn a_lost_branch_and_an_expired_timeout_cancel_their_activity() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let lost = db.client().start(loses()).await.unwrap();
    assert_eq!(lost.result().await.unwrap(), "timer");
    let expired = db.client().start(expires()).await.unwrap();
    assert!(expired.result().await.unwrap());
    eventually("both stopped", async || {
        let counts = log.counts();
        counts.contains_key("stopped loser") && counts.contains_key("stopped late")
    })
    .await;
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn terminate_runs_no_workflow_code() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db, &log).await;
    let run = db.client().start(decides()).await.unwrap();
    run.terminate("operator").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Terminated)));
    assert!(log.lines().is_empty());
    let late = run.cancel("too late").await.unwrap_err();
    assert_eq!(late.code(), "AB0407");
    worker.shutdown().await.unwrap();
}
