//! The client's smaller promises: lists, descriptions, handles, and what a worker refuses to start with.

use super::ends::{Gate, refused};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

#[workflow]
async fn quick(n: u32) -> u32 {
    n
}

#[workflow(name = "quick")]
async fn quick_too() -> u32 {
    0
}

#[workflow]
async fn fails() -> Result<(), Failure> {
    Err(Failure::new("as asked"))
}

#[activity(retry(initial_interval = "1h"))]
async fn fails_and_waits() -> Result<u32, Failure> {
    Err(Failure::new("not today"))
}

#[activity(name = "fails_and_waits")]
async fn fails_too() -> u32 {
    0
}

#[workflow]
async fn busy() -> Result<u32, Failure> {
    let (n, (), _) = workflow::try_join!(fails_and_waits(), Gate::pass(), async {
        workflow::sleep(days(2)).await;
        Steps::note(1).await.map_err(ActivityError::<Failure>::from)
    })?;
    Ok(n)
}

async fn worker(db: &Db) -> abide::Worker {
    let builder = db.abide.worker("main").workflow(quick).workflow(fails).workflow(busy);
    let builder = builder.activity(fails_and_waits).activities(Gate::closed());
    builder.activities(Steps(Log::default())).shutdown_grace(secs(0)).start().await.unwrap()
}

async fn ids(client: &Client, filter: ListFilter) -> Vec<String> {
    let page = client.list(filter).await.unwrap();
    page.executions.into_iter().map(|execution| execution.workflow_id).collect()
}

#[tokio::test]
async fn lists_are_filtered_and_newest_first() {
    let db = Db::new().await;
    let (worker, client) = (worker(&db).await, db.client());
    client.start(quick(1)).id("a-1").await.unwrap().result().await.unwrap();
    client.start(quick(2)).id("a-2").await.unwrap().result().await.unwrap();
    client.start(fails()).id("b-1").await.unwrap().result().await.unwrap_err();
    client.start(busy()).id("b_2").await.unwrap();
    client.start(quick(3)).id("c").task_queue("other").await.unwrap();

    let all = ListFilter::new;
    assert_eq!(ids(&client, all()).await, ["c", "b_2", "b-1", "a-2", "a-1"]);
    assert_eq!(ids(&client, all().status(ExecutionStatus::Completed)).await, ["a-2", "a-1"]);
    let over = all().status(ExecutionStatus::Completed).status(ExecutionStatus::Failed);
    assert_eq!(ids(&client, over).await, ["b-1", "a-2", "a-1"]);
    assert_eq!(ids(&client, all().workflow_type("quick")).await, ["c", "a-2", "a-1"]);
    assert_eq!(ids(&client, all().task_queue("other")).await, ["c"]);
    assert_eq!(ids(&client, all().id_prefix("b-")).await, ["b-1"]);
    assert_eq!(ids(&client, all().id_prefix("b_")).await, ["b_2"], "no wildcards");
    let both = all().id_prefix("a").workflow_type("quick").status(ExecutionStatus::Running);
    assert!(ids(&client, both).await.is_empty());

    let page = client.list(all().id_prefix("b-")).await.unwrap();
    let failed = &page.executions[0];
    assert_eq!((failed.status, failed.workflow_type.as_str()), (ExecutionStatus::Failed, "fails"));
    assert!(failed.closed_at.is_some_and(|at| at >= failed.created_at));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn pages_join_up() {
    let db = Db::new().await;
    let client = db.client().task_queue("main");
    for n in 0..7 {
        client.start(quick(n)).id(format!("q{n}")).await.unwrap();
    }
    let (mut seen, mut filter, mut pages) = (Vec::new(), ListFilter::new().limit(3), 0);
    loop {
        let page = client.list(filter.clone()).await.unwrap();
        seen.extend(page.executions.into_iter().map(|execution| execution.workflow_id));
        pages += 1;
        // What is started meanwhile is newer than the page, and moves nothing.
        client.start(quick(9)).await.unwrap();
        match page.next {
            Some(next) => filter = filter.after(next),
            None => break,
        }
    }
    assert_eq!((pages, seen), (3, ["q6", "q5", "q4", "q3", "q2", "q1", "q0"].map(String::from).to_vec()));
}

/// By the environment's clock, and within one of its milliseconds in the order of the starts.
#[tokio::test]
async fn lists_of_a_test_environment_are_newest_first() {
    let env = abide::testing::TestEnv::start().await.unwrap();
    let client = env.client().task_queue("main");
    let mut started = Vec::new();
    for n in 0..20 {
        client.start(quick(n)).id(format!("q{n}")).await.unwrap();
        started.insert(0, format!("q{n}"));
    }
    assert_eq!(ids(&client, ListFilter::new()).await, started);
    env.sleep(secs(60)).await;
    client.start(quick(20)).id("later").await.unwrap();
    assert_eq!(ids(&client, ListFilter::new().limit(2)).await, ["later", "q19"]);
}

#[tokio::test]
async fn a_description_says_what_it_waits_for() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(busy()).id("busy").await.unwrap();
    eventually("one activity has failed", async || {
        let pending = run.describe().await.unwrap().pending_activities;
        pending.iter().any(|activity| activity.last_failure.is_some())
    })
    .await;
    let seen = run.describe().await.unwrap();
    assert_eq!(
        (seen.workflow_id.as_str(), seen.workflow_type.as_str(), seen.task_queue.as_str()),
        ("busy", "busy", "main")
    );
    assert_eq!((seen.status, Some(seen.run_id.as_str())), (ExecutionStatus::Running, run.run_id()));
    assert!(seen.suspension.is_none() && seen.closed_at.is_none() && seen.unhandled_signals.is_empty());

    let [waits, gate] = &seen.pending_activities[..] else { panic!("two: {:?}", seen.pending_activities) };
    assert_eq!((waits.activity_type.as_str(), waits.attempt), ("fails_and_waits", 2));
    assert_eq!(waits.last_failure.as_ref().unwrap().message, "not today");
    assert!(waits.next_attempt_at.unwrap() > seen.created_at);
    assert_eq!((gate.activity_type.as_str(), gate.attempt, &gate.last_failure), ("Gate.pass", 1, &None));
    assert_eq!(seen.pending_timers.len(), 1);
    let until_due = seen.pending_timers[0].due_at.duration_since(seen.created_at);
    assert!(until_due.as_hours() >= 48, "{until_due:?}");
    assert!(!seen.awaiting.is_empty());
    assert!(seen.awaiting.iter().all(|at| at.file.ends_with("client.rs") && at.line > 0 && at.column > 0));

    run.terminate("done looking").await.unwrap();
    let over = run.describe().await.unwrap();
    assert_eq!(over.status, ExecutionStatus::Terminated);
    assert!(over.pending_activities.is_empty() && over.pending_timers.is_empty() && over.awaiting.is_empty());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn only_what_is_suspended_is_resumed() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(quick(1)).await.unwrap();
    run.result().await.unwrap();
    let error = run.resume().await.unwrap_err();
    assert_eq!(error.code(), "AB0414");
    assert!(error.to_string().contains("completed"), "{error}");
    let open = db.client().start(busy()).await.unwrap();
    assert_eq!(refused(open.resume().await), "AB0414");
    worker.shutdown().await.unwrap();
}

/// Of another type than the runs below.
#[derive(Default)]
struct Waits {
    told: bool,
}

#[workflow]
impl Waits {
    #[run]
    async fn run(&mut self) {
        workflow::until!(self.told).await;
    }

    #[signal]
    fn tell(&mut self) {
        self.told = true;
    }

    #[query]
    fn told(&self) -> bool {
        self.told
    }
}

#[tokio::test]
async fn a_handle_knows_its_type() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = db.client().start(quick(1)).id("q").await.unwrap();
    assert_eq!(db.client().handle::<quick>("q").result().await.unwrap(), 1);
    let Err(WorkflowError::Client(error)) = db.client().handle::<fails>("q").result().await else {
        panic!("no")
    };
    assert_eq!(error.code(), "AB0416");
    let existing = db.client().start(busy()).id("b").await.unwrap();
    let other = db.client().start(quick(2)).id("b").id_conflict_policy(IdConflictPolicy::UseExisting);
    assert_eq!(refused(other.await), "AB0416", "an open run of another type");
    let wrong = db.client().handle::<Waits>("b");
    assert_eq!(refused(wrong.tell().await), "AB0416", "its signal is not sent");
    assert_eq!(refused(wrong.told().await), "AB0416", "nor its query");
    assert!(existing.describe().await.unwrap().unhandled_signals.is_empty());
    assert_eq!(existing.describe().await.unwrap().status, ExecutionStatus::Running);
    assert_eq!((run.id(), run.run_id().is_some()), ("q", true));
    assert_eq!(db.client().handle::<quick>("q").run_id(), None);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_start_needs_a_queue() {
    let db = Db::new().await;
    assert_eq!(refused(db.client().start(quick(1)).await), "AB0411");
    let worker = worker(&db).await;
    assert_eq!(db.client().start(quick(1)).await.unwrap().result().await.unwrap(), 1, "its worker's");
    worker.shutdown().await.unwrap();
    assert_eq!(refused(db.client().start(quick(1)).await), "AB0411", "none any more");
}

#[tokio::test]
async fn a_worker_is_refused_what_makes_no_sense() {
    let db = Db::new().await;
    let start = |builder: abide::WorkerBuilder| async move { builder.start().await.map(|_| ()) };
    let worker = || db.abide.worker("w");
    assert_eq!(refused(start(worker()).await), "AB0601");
    assert_eq!(refused(start(worker().workflow(quick).workflow(quick)).await), "AB0601");
    let error = start(worker().workflow(quick).workflow(quick_too)).await.unwrap_err();
    assert!(error.to_string().contains("workflow `quick` is registered twice"), "{error}");
    let error = start(worker().activity(fails_and_waits).activity(fails_too)).await.unwrap_err();
    assert!(error.to_string().contains("activity `fails_and_waits`"), "{error}");
}
