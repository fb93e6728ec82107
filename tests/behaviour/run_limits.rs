//! Time limits of runs and executions, delayed starts, and runs that are told to terminate: ends without code, of
//! runs that are owned, unowned, suspended, or of a type that no worker has.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use sqlx::Connection;

const SHORT: std::time::Duration = std::time::Duration::from_millis(300);

#[derive(Default)]
struct Waits {
    told: u32,
}

#[workflow(name = "limits.Waits")]
impl Waits {
    #[run]
    async fn run(&mut self, wanted: u32) -> u32 {
        workflow::until!(self.told >= wanted).await;
        self.told
    }

    #[signal]
    fn tell(&mut self) {
        self.told += 1;
    }

    #[query]
    fn told(&self) -> u32 {
        self.told
    }
}

#[workflow]
async fn stands() -> u32 {
    assert!(workflow::allow!("the bug that suspends it", false), "a bug");
    7
}

#[workflow]
async fn works() -> Result<String, Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(Steps::undo("booking".to_owned()));
    Ok(Steps::endless("call".to_owned()).await?)
}

#[workflow(task_queue = "limits", run_timeout = "250ms", execution_timeout = "1h")]
async fn short_lived() {
    workflow::sleep(days(1)).await;
}

async fn worker(abide: &Abide, log: &Log) -> Worker {
    let worker = abide.worker("limits").workflow(Waits::run).workflow(stands).workflow(works);
    worker.workflow(short_lived).activities(Steps(log.clone())).start().await.unwrap()
}

fn kind_of<T>(ended: Result<T, WorkflowError<Failure>>) -> Option<TimeoutKind> {
    match ended {
        Err(WorkflowError::TimedOut { kind }) => Some(kind),
        _ => None,
    }
}

#[tokio::test]
async fn a_run_that_waits_is_ended_by_its_limit() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db.abide, &log).await;
    let client = db.client();
    let run = client.start(Waits::run(1)).id("w").run_timeout(SHORT).await.unwrap();
    let seen = run.describe().await.unwrap();
    assert_eq!(seen.run_deadline, Some(seen.created_at + SHORT));
    assert_eq!((seen.execution_deadline, seen.begins_at), (None, None));
    let Err(WorkflowError::TimedOut { kind: TimeoutKind::Run }) = run.result().await else { panic!("no") };
    let seen = run.describe().await.unwrap();
    assert_eq!(seen.status, ExecutionStatus::TimedOut);
    assert!(seen.closed_at.unwrap() >= seen.run_deadline.unwrap());
    assert_eq!(run.told().await.unwrap(), 0, "a closed run is asked");
    assert_eq!(run.tell().await.unwrap_err().code(), "AB0407");
    // The limit of all its runs is told as such, and one that is in time is not touched.
    let whole = client.start(Waits::run(1)).execution_timeout(SHORT).run_timeout(hours(1)).await.unwrap();
    let Err(WorkflowError::TimedOut { kind: TimeoutKind::Execution }) = whole.result().await else {
        panic!("no")
    };
    let in_time = client.start(Waits::run(1)).run_timeout(hours(1)).await.unwrap();
    in_time.tell().await.unwrap();
    assert_eq!(in_time.result().await.unwrap(), 1);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn no_code_of_it_runs_and_its_activities_are_asked_to_stop() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db.abide, &log).await;
    let run = db.client().start(works()).run_timeout(millis(600)).await.unwrap();
    assert_eq!(kind_of(run.result().await), Some(TimeoutKind::Run));
    eventually("it stops", async || log.lines().contains(&"stopped call".to_owned())).await;
    assert_eq!(log.lines(), ["begin call", "stopped call"], "nothing is undone");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_run_that_nobody_can_run_is_ended_all_the_same() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db.abide, &log).await;
    let run = db.client().start(Waits::run(1)).task_queue("nobody's").run_timeout(SHORT).await.unwrap();
    let Err(WorkflowError::TimedOut { kind: TimeoutKind::Run }) = run.result().await else { panic!("no") };
    let suspended = db.client().start(stands()).id("stands").run_timeout(millis(900)).await.unwrap();
    let Err(WorkflowError::Suspended(_)) = suspended.result().await else { panic!("no") };
    let status = async || suspended.describe().await.unwrap().status;
    eventually("its time is up", async || status().await == ExecutionStatus::TimedOut).await;
    assert!(suspended.describe().await.unwrap().suspension.is_none());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_starts_later_ends_what_is_late() {
    let (db, log) = (Db::new().await, Log::default());
    let first = worker(&db.abide, &log).await;
    let run = db.client().start(Waits::run(1)).id("w").run_timeout(SHORT).await.unwrap();
    first.shutdown().await.unwrap();
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Running);
    let second = worker(&db.abide, &log).await;
    let Err(WorkflowError::TimedOut { .. }) = run.result().await else { panic!("no") };
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_attribute_gives_queue_and_limits_and_a_start_goes_before_it() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db.abide, &log).await;
    // The client's own default is for workflows that name no task queue.
    let run = db.client().task_queue("elsewhere").start(short_lived()).await.unwrap();
    let seen = run.describe().await.unwrap();
    assert_eq!(seen.task_queue, "limits");
    assert_eq!(seen.execution_deadline, Some(seen.created_at + hours(1)));
    assert!(matches!(run.result().await, Err(WorkflowError::TimedOut { kind: TimeoutKind::Run })));
    let longer = db.client().start(short_lived()).run_timeout(hours(2)).await.unwrap();
    let seen = longer.describe().await.unwrap();
    assert_eq!(seen.run_deadline, Some(seen.created_at + hours(1)), "never after the execution's");
    longer.terminate("enough").await.unwrap();
    let refused = db.client().start(short_lived()).run_timeout(millis(0)).await.unwrap_err();
    assert_eq!(refused.code(), "AB0430");
    assert!(refused.to_string().contains("workflow `short_lived` has run_timeout = 0ns"), "{refused}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_delayed_start_begins_later_or_with_a_message() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = worker(&db.abide, &log).await;
    let client = db.client();
    let later = client.start(Waits::run(0)).id("later").delay(SHORT).run_timeout(hours(1)).await.unwrap();
    let seen = later.describe().await.unwrap();
    assert_eq!(seen.begins_at, Some(seen.created_at + SHORT));
    assert_eq!(seen.run_deadline, Some(seen.created_at + SHORT + hours(1)), "counted from when it is due");
    assert_eq!((seen.status, seen.history_length), (ExecutionStatus::Running, 0));
    let taken = client.start(Waits::run(0)).id("later").await.unwrap_err();
    assert_eq!(taken.code(), "AB0401", "its id is taken at once");
    assert_eq!(later.result().await.unwrap(), 0);
    let seen = later.describe().await.unwrap();
    assert!(seen.closed_at.unwrap() >= seen.created_at + SHORT);
    assert_eq!(seen.begins_at, None);
    let told = client.start(Waits::run(1)).id("told").delay(hours(1)).await.unwrap();
    told.tell().await.unwrap();
    assert_eq!(told.result().await.unwrap(), 1, "a message begins it at once");
    let ended = client.start(Waits::run(1)).id("ended").delay(hours(1)).await.unwrap();
    ended.cancel("not wanted any more").await.unwrap();
    assert!(matches!(ended.result().await, Err(WorkflowError::Cancelled)));
    worker.shutdown().await.unwrap();
}

/// Tells a run to terminate, as a parent that closes does.
async fn tell_to_terminate(folder: &tempfile::TempDir, workflow_id: &str) {
    let schema = if crate::ON_POSTGRES { "abide." } else { "" };
    let insert = format!(
        "INSERT INTO {schema}inbox (execution, kind, request_id, body, at)
        SELECT id, 8, 'abide/parent-close', '{{\"reason\":\"its parent closed\"}}', 0
        FROM {schema}execution WHERE workflow_id = '{workflow_id}'"
    );
    let mut connection = crate::UserConnection::connect(&Db::url(folder)).await.unwrap();
    sqlx::Executor::execute(&mut connection, sqlx::raw_sql(sqlx::AssertSqlSafe(insert))).await.unwrap();
}

#[tokio::test]
async fn a_message_to_terminate_ends_a_run_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (abide, log) = (Db::open(&folder).await, Log::default());
    let client = abide.client();
    let nobodys = client.start(Waits::run(1)).task_queue("nobody's").id("nobodys").await.unwrap();
    let worker = worker(&abide, &log).await;
    let waits = client.start(Waits::run(9)).id("waits").await.unwrap();
    waits.tell().await.unwrap();
    let stands = client.start(stands()).id("stands").await.unwrap();
    let Err(WorkflowError::Suspended(_)) = stands.result().await else { panic!("no") };
    for id in ["nobodys", "waits", "stands"] {
        tell_to_terminate(&folder, id).await;
        let run = client.execution(id);
        let status = async || run.describe().await.unwrap().status;
        eventually(id, async || status().await == ExecutionStatus::Terminated).await;
    }
    assert!(matches!(nobodys.result().await, Err(WorkflowError::Terminated)));
    assert!(matches!(waits.result().await, Err(WorkflowError::Terminated)));
    assert_eq!(waits.told().await.unwrap(), 1, "a closed run is asked");
    worker.shutdown().await.unwrap();
}
