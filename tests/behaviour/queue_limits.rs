//! Limits across workers, priorities and fair shares of a task queue; limits of one worker.

use super::support::{Db, Log, eventually};
use abide::Rate;
use abide::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Counts how many run at once, whichever worker runs them.
#[derive(Clone, Default)]
struct Till {
    log: Log,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Till {
    async fn serve(&self, line: String) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.log.add(line);
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

#[activity]
impl Till {
    #[activity(task_queue = "till", most = 3)]
    async fn charge(&self, n: u32) {
        self.serve(format!("charge {n}")).await;
    }

    #[activity(task_queue = "till", rate = "40/s", burst = 1)]
    async fn ask(&self, n: u32) {
        self.serve(format!("ask {n}")).await;
    }

    #[activity(task_queue = "till")]
    async fn print(&self, what: String) {
        self.serve(what).await;
    }

    /// In the workflow's own worker.
    async fn resize(&self, n: u32) {
        self.serve(format!("resize {n}")).await;
    }

    async fn quick(&self) {}
}

#[workflow]
async fn charges(many: u32) -> Result<(), CallError> {
    futures::future::try_join_all((0..many).map(Till::charge)).await.map(drop)
}

#[workflow]
async fn asks(many: u32) -> Result<(), CallError> {
    futures::future::try_join_all((0..many).map(Till::ask)).await.map(drop)
}

/// A flood of one tenant, and few calls of others.
#[workflow]
async fn prints() -> Result<(), CallError> {
    let flood = (0..20).map(|n| Till::print(format!("big {n}")).fair("big", 1));
    let few = ["small 1", "small 2", "tiny 1"].map(|what| {
        let tenant = what.split(' ').next().unwrap_or_default();
        Till::print(what.to_owned()).fair(tenant, 1)
    });
    futures::future::try_join_all(flood.chain(few)).await.map(drop)
}

#[workflow]
async fn ranked() -> Result<(), CallError> {
    let of = |what: &str, priority| Till::print(what.to_owned()).priority(priority);
    let calls = [
        of("low", Priority::Low),
        of("lowest", Priority::Lowest),
        Till::print("plain".to_owned()),
        of("highest", Priority::Highest),
        of("high", Priority::High),
    ];
    futures::future::try_join_all(calls).await.map(drop)
}

#[workflow]
async fn one(what: String) -> Result<(), CallError> {
    Till::print(what).await
}

#[workflow]
async fn parent(what: String) -> Result<(), Failure> {
    Ok(one(what).await?)
}

#[workflow]
async fn resizes() -> Result<(), CallError> {
    let all = futures::future::try_join_all((0..12).map(Till::resize));
    let quick = async {
        for _ in 0..3 {
            Till::quick().await?;
        }
        Ok(())
    };
    futures::future::try_join(all, quick).await.map(drop)
}

#[workflow]
async fn wrong(what: String) -> Result<(), CallError> {
    match &*what {
        "key" => Till::print(what).limit_key("x").await,
        "weight" => Till::print(what).fair("x", 0).await,
        "fair" => Till::quick().fair("x", 1).await,
        "priority" => Till::quick().priority(Priority::High).await,
        _ => Till::charge(1).limit_key("").await,
    }
}

fn flows(abide: &Abide, till: &Till) -> WorkerBuilder {
    let worker = abide.worker("flows").workflow(charges).workflow(asks).workflow(prints).workflow(ranked);
    let worker = worker.workflow(one).workflow(parent).workflow(resizes).workflow(wrong);
    worker.activities(till.clone())
}

/// Waits until all calls of the runs wait for a worker.
async fn all_wait(runs: &[abide::UntypedHandle], many: usize) {
    eventually("all calls wait", async || {
        let mut waiting = 0;
        for run in runs {
            waiting += run.describe().await.unwrap().pending_activities.len();
        }
        waiting == many
    })
    .await;
}

#[tokio::test]
async fn three_engines_never_run_more_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let (till, mut engines, mut workers) = (Till::default(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let abide = Db::open(&folder).await;
        workers.push(abide.worker("till").activities(till.clone()).start().await.unwrap());
        engines.push(abide);
    }
    workers.push(flows(&engines[0], &till).start().await.unwrap());
    let client = engines[0].client().task_queue("flows");
    let runs = [client.start(charges(15)).await.unwrap(), client.start(charges(15)).await.unwrap()];
    for run in runs {
        run.result().await.unwrap();
    }
    assert_eq!(till.log.lines().len(), 30, "each once");
    assert!(till.most() <= 3, "{} ran at once", till.most());
    for worker in workers {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_rate_holds_for_all_workers() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there, till) = (Db::open(&folder).await, Db::open(&folder).await, Till::default());
    let one = here.worker("till").activities(till.clone()).start().await.unwrap();
    let two = there.worker("till").activities(till.clone()).start().await.unwrap();
    let flows = flows(&here, &till).start().await.unwrap();
    let since = Instant::now();
    here.client().start(asks(13)).task_queue("flows").await.unwrap().result().await.unwrap();
    // One at once, and twelve at 40 a second, less what two clocks round.
    assert!(since.elapsed() >= Duration::from_millis(280), "{:?}", since.elapsed());
    for worker in [one, two, flows] {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_one_tenant_holds_up_no_other() {
    let (db, till) = (Db::new().await, Till::default());
    let flows = flows(&db.abide, &till).start().await.unwrap();
    let run = db.client().start(prints()).task_queue("flows").await.unwrap();
    all_wait(&[run.untyped()], 23).await;
    let worker = db.abide.worker("till").activities(till.clone()).max_concurrent_activities(1);
    let worker = worker.start().await.unwrap();
    run.result().await.unwrap();
    let lines = till.log.lines();
    let last = lines.iter().rposition(|line| !line.starts_with("big")).unwrap();
    assert!(last < 6, "the others go in turn with the flood: {lines:?}");
    assert_eq!(lines.len(), 23);
    worker.shutdown().await.unwrap();
    flows.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_higher_priority_goes_first_and_a_start_gives_the_default() {
    let (db, till) = (Db::new().await, Till::default());
    let flows = flows(&db.abide, &till).start().await.unwrap();
    let client = db.client().task_queue("flows");
    let all = client.start(ranked()).await.unwrap();
    all_wait(&[all.untyped()], 5).await;
    let of = |what: &str| client.start(one(what.to_owned()));
    let last = of("of a lowest start").priority(Priority::Lowest).await.unwrap();
    let first = client.start(parent("child of a highest start".to_owned())).priority(Priority::Highest);
    let first = first.await.unwrap();
    all_wait(&[last.untyped()], 1).await;
    eventually("the child waits", async || first.describe().await.unwrap().pending_children.len() == 1).await;
    let child = first.describe().await.unwrap().pending_children[0].workflow_id.clone();
    all_wait(&[db.client().handle::<one>(&child).untyped()], 1).await;
    let worker = db.abide.worker("till").activities(till.clone()).max_concurrent_activities(1);
    let worker = worker.start().await.unwrap();
    all.result().await.unwrap();
    last.result().await.unwrap();
    first.result().await.unwrap();
    let expected =
        ["highest", "child of a highest start", "high", "plain", "low", "lowest", "of a lowest start"];
    assert_eq!(till.log.lines(), expected);
    worker.shutdown().await.unwrap();
    flows.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_worker_limits_one_activity_and_holds_up_no_other() {
    let (db, till) = (Db::new().await, Till::default());
    let worker = flows(&db.abide, &till).limit(Till::resize, 2).max_concurrent_activities(3);
    let worker = worker.start().await.unwrap();
    db.client().start(resizes()).task_queue("flows").await.unwrap().result().await.unwrap();
    assert_eq!((till.most(), till.log.lines().len()), (2, 12));
    worker.shutdown().await.unwrap();
    // Of tasks, too, and with a rate.
    let (till, since) = (Till::default(), Instant::now());
    let flows = flows(&db.abide, &till).start().await.unwrap();
    let worker = db.abide.worker("till").activities(till.clone());
    let worker =
        worker.limit(Till::charge, 1).rate(Till::charge, Rate::per_second(40)).start().await.unwrap();
    db.client().start(charges(9)).task_queue("flows").await.unwrap().result().await.unwrap();
    assert_eq!((till.most(), till.log.lines().len()), (1, 9));
    // A burst of four, and five at 40 a second.
    assert!(since.elapsed() >= Duration::from_millis(115), "{:?}", since.elapsed());
    worker.shutdown().await.unwrap();
    flows.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_task_queue_cannot_give_is_refused_at_the_call() {
    let (db, till) = (Db::new().await, Till::default());
    let flows = flows(&db.abide, &till).start().await.unwrap();
    for (what, words) in [
        ("key", "`Till.print` has a limit key, but no limit"),
        ("weight", "`Till.print` has a fair share of weight 0"),
        ("fair", "`Till.quick` has a fair share, but no task queue"),
        ("priority", "`Till.quick` has a priority, but no task queue"),
        ("empty", "`Till.charge` has a limit key of 0 characters"),
    ] {
        let run = db.client().start(wrong(what.to_owned())).task_queue("flows").await.unwrap();
        let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else {
            panic!("{what}")
        };
        assert!(text.starts_with("AB0622: activity ") && text.contains(words), "{text}");
    }
    flows.shutdown().await.unwrap();
}
