//! Heartbeats: an attempt tells where it is, and the next one goes on from there, in this worker, in the next one and
//! elsewhere; a silent attempt is given up; a heartbeat is where an activity learns to stop, and so is the end of its
//! worker.

use super::support::{Db, Log, eventually};
use abide::activity::{self, HeartbeatError};
use abide::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Counts to ten, one heartbeat each; what it does with each attempt is up to the test.
#[derive(Clone)]
struct Counter {
    log: Log,
    open: Arc<watch::Sender<bool>>,
    beats: Arc<AtomicUsize>,
}

impl Counter {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), open: Arc::new(watch::Sender::new(false)), beats: Arc::default() }
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    async fn gate(&self) {
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }

    /// Notes where the attempt begins.
    fn begin(&self) -> (activity::ActivityContext, u32) {
        let context = activity::context();
        let from = context.last_heartbeat::<u32>();
        self.log.add(format!("{} attempt {} from {from:?}", context.activity_type(), context.attempt()));
        (context, from.unwrap_or(0))
    }

    /// Fails three times, at 3, 6 and 9.
    async fn in_threes(&self) -> Result<u32, Failure> {
        let (context, from) = self.begin();
        for n in from + 1..=10 {
            context.heartbeat(&n)?;
            if n % 3 == 0 {
                return Err(Failure::new(format!("at {n}")));
            }
        }
        Ok(from)
    }
}

#[activity]
impl Counter {
    #[activity(retry(initial_interval = "1ms"))]
    async fn here(&self) -> Result<u32, Failure> {
        self.in_threes().await
    }

    #[activity(heartbeat_timeout = "1h", retry(initial_interval = "1ms"))]
    async fn kept(&self) -> Result<u32, Failure> {
        self.in_threes().await
    }

    #[activity(task_queue = "far", retry(initial_interval = "1ms"))]
    async fn far(&self) -> Result<u32, Failure> {
        self.in_threes().await
    }

    /// The first attempt says `5`, and then nothing.
    #[activity(heartbeat_timeout = "1s", retry(initial_interval = "1ms", max_attempts = 2))]
    async fn silent(&self, hopeless: bool) -> u32 {
        let (context, from) = self.begin();
        if context.attempt() == 2 && !hopeless {
            return from;
        }
        let _ = context.heartbeat(&(from + 5));
        std::future::pending().await
    }

    /// The same, of a worker elsewhere.
    #[activity(task_queue = "far", heartbeat_timeout = "1s", retry(initial_interval = "1ms"))]
    async fn far_silent(&self) -> u32 {
        self.silent(false).await
    }

    /// Says `7` and waits for the test.
    #[activity(heartbeat_timeout = "1h")]
    async fn waits(&self) -> u32 {
        let (context, from) = self.begin();
        let _ = context.heartbeat(&(from + 7));
        self.gate().await;
        from
    }

    #[activity(task_queue = "far")]
    async fn far_waits(&self) -> u32 {
        self.waits().await
    }

    /// Beats until it may not go on.
    #[activity(task_queue = "far", cancellation = "wait")]
    async fn far_endless(&self) -> Result<u32, HeartbeatError> {
        let (context, from) = self.begin();
        loop {
            if let Err(error) = context.heartbeat(&from) {
                self.log.add(format!("{error:?}"));
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Counts until its worker stops.
    #[activity(heartbeat_timeout = "1h", retry(initial_interval = "1ms"))]
    async fn until_shutdown(&self) -> Result<u32, Failure> {
        let (context, mut from) = self.begin();
        if context.attempt() > 1 {
            return Ok(from);
        }
        context.heartbeat(&from)?;
        context.worker_shutting_down().await;
        self.log.add(format!("going: {} {}", context.is_worker_shutting_down(), context.is_cancelled()));
        from += 40;
        context.heartbeat(&from)?;
        Err(Failure::new("the worker stops"))
    }

    #[activity(task_queue = "far", retry(initial_interval = "1ms"))]
    async fn far_until_shutdown(&self) -> Result<u32, Failure> {
        self.until_shutdown().await
    }

    /// Beats all the time, until the test opens the gate.
    #[activity(heartbeat_timeout = "1h")]
    async fn busy(&self) -> Result<(), HeartbeatError> {
        let open = self.open.subscribe();
        while !*open.borrow() {
            activity::context().heartbeat(&self.beats.fetch_add(1, Ordering::Relaxed))?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Tells what cannot be told.
    #[activity(retry(max_attempts = 1))]
    async fn tells_too_much(&self) -> Result<(), HeartbeatError> {
        activity::context().heartbeat(&"x".repeat(256 * 1024))
    }

    /// Its first attempt tells a text, its second wants a number.
    #[activity(heartbeat_timeout = "1h", retry(initial_interval = "1ms"))]
    async fn changes_its_mind(&self) -> Result<u32, Failure> {
        let (context, from) = self.begin();
        if context.attempt() > 1 {
            return Ok(from);
        }
        context.heartbeat(&"here".to_owned())?;
        Err(Failure::new("again"))
    }
}

#[workflow]
async fn counts(how: String) -> Result<u32, Failure> {
    Ok(match how.as_str() {
        "here" => Counter::here().await?,
        "kept" => Counter::kept().await?,
        "far" => Counter::far().await?,
        "silent" => Counter::silent(false).await?,
        "far silent" => Counter::far_silent().await?,
        "waits" => Counter::waits().await?,
        "far waits" => Counter::far_waits().await?,
        "until shutdown" => Counter::until_shutdown().await?,
        "far until shutdown" => Counter::far_until_shutdown().await?,
        "changes" => Counter::changes_its_mind().await?,
        other => return Err(Failure::new(other)),
    })
}

#[workflow]
async fn gives_up() -> Result<(), ActivityError<HeartbeatError>> {
    let beats = Counter::far_endless();
    let _ = workflow::timeout(secs(1), beats).await;
    Ok(())
}

#[workflow]
async fn hopeless() -> Result<u32, CallError> {
    Counter::silent(true).await
}

#[workflow]
async fn tells() -> Result<(), ActivityError<HeartbeatError>> {
    Counter::tells_too_much().await
}

#[workflow]
async fn many(of: usize) -> Result<(), Failure> {
    for ended in futures::future::join_all((0..of).map(|_| Counter::busy())).await {
        ended?;
    }
    Ok(())
}

/// A worker of the workflows and of what they run themselves.
fn flows(abide: &Abide, counter: &Counter) -> WorkerBuilder {
    let worker = abide.worker("flows").workflow(counts).workflow(gives_up).workflow(hopeless);
    worker.workflow(tells).workflow(many).activities(counter.clone()).max_concurrent_activities(2_000)
}

/// A worker of what is sent away.
fn far(abide: &Abide, counter: &Counter) -> WorkerBuilder {
    abide.worker("far").activities(counter.clone())
}

async fn start(db: &Db, how: &str) -> Handle<counts> {
    db.client().start(counts(how.to_owned())).await.unwrap()
}

/// Waits until the database knows what the run's activity has told.
async fn has_told(run: &Handle<counts>, details: &str) {
    eventually("its heartbeat is kept", async || {
        let pending = run.describe().await.unwrap().pending_activities;
        let told = pending.first().and_then(|activity| activity.heartbeat_details.clone());
        told.is_some_and(|told| told.as_json() == details)
    })
    .await;
}

#[tokio::test]
async fn the_next_attempt_goes_on_from_the_last_heartbeat() {
    let (db, log) = (Db::new().await, Log::default());
    let counter = Counter::new(&log);
    let workers = [flows(&db.abide, &counter), far(&db.abide, &counter)];
    let workers = futures::future::join_all(workers.map(WorkerBuilder::start)).await;
    for (how, expected) in [("here", 9), ("kept", 9), ("far", 9), ("silent", 5), ("far silent", 5)] {
        assert_eq!(start(&db, how).await.result().await.unwrap(), expected, "{how}");
    }
    let lines = |of: &str, from: &[&str]| -> Vec<String> {
        let line = |(n, from)| format!("Counter.{of} attempt {} from {from}", n + 1);
        from.iter().enumerate().map(line).collect()
    };
    let thirds = ["None", "Some(3)", "Some(6)", "Some(9)"];
    let mut expected: Vec<String> =
        ["here", "kept", "far"].iter().flat_map(|of| lines(of, &thirds)).collect();
    expected.extend(["silent", "far_silent"].iter().flat_map(|of| lines(of, &["None", "Some(5)"])));
    assert_eq!(log.lines(), expected);
    for worker in workers {
        worker.unwrap().shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_activity_that_stays_silent_has_timed_out() {
    let (db, log) = (Db::new().await, Log::default());
    let counter = Counter::new(&log);
    let worker = flows(&db.abide, &counter).start().await.unwrap();
    let run = db.client().start(hopeless()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut { kind, .. })) = run.result().await else { panic!() };
    assert_eq!(kind, TimeoutKind::Heartbeat);
    assert_eq!(log.lines().len(), 2, "it is tried again");
    worker.shutdown().await.unwrap();
}

/// A worker that is dropped tells nothing, as one that is killed.
#[tokio::test]
async fn the_next_worker_goes_on_from_the_last_heartbeat_that_is_kept() {
    for (how, of) in [("waits", "waits"), ("far waits", "far_waits")] {
        let (db, log) = (Db::new().await, Log::default());
        let counter = Counter::new(&log);
        let first = [flows(&db.abide, &counter), far(&db.abide, &counter)];
        let first = futures::future::join_all(first.map(WorkerBuilder::start)).await;
        let run = start(&db, how).await;
        has_told(&run, "7").await;
        let described = &run.describe().await.unwrap().pending_activities[0];
        assert!(described.last_heartbeat_at.is_some() && described.attempt == 1, "{described:?}");
        drop(first);
        counter.open();
        let next = [flows(&db.abide, &counter), far(&db.abide, &counter)];
        let next = futures::future::join_all(next.map(WorkerBuilder::start)).await;
        assert_eq!(run.result().await.unwrap(), 7);
        let attempts = [(1, "None"), (2, "Some(7)")];
        let expected = attempts.map(|(n, from)| format!("Counter.{of} attempt {n} from {from}"));
        assert_eq!(log.lines(), expected);
        for worker in next {
            worker.unwrap().shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_activity_knows_that_its_worker_goes_and_leaves_where_it_is() {
    for how in ["until shutdown", "far until shutdown"] {
        let (db, log) = (Db::new().await, Log::default());
        let counter = Counter::new(&log);
        let grace = Duration::from_secs(60);
        let flow = flows(&db.abide, &counter).shutdown_grace(grace).start().await.unwrap();
        let farm = far(&db.abide, &counter).shutdown_grace(grace).start().await.unwrap();
        let run = start(&db, how).await;
        has_told(&run, "0").await;
        // It is not cancelled: it is told before the grace ends.
        for worker in [farm, flow] {
            worker.shutdown().await.unwrap();
        }
        assert_eq!(log.lines()[1], "going: true false");
        has_told(&run, "40").await;
        let next = [flows(&db.abide, &counter), far(&db.abide, &counter)];
        let next = futures::future::join_all(next.map(WorkerBuilder::start)).await;
        assert_eq!(run.result().await.unwrap(), 40);
        for worker in next {
            worker.unwrap().shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_heartbeat_is_where_an_activity_learns_to_stop() {
    let (db, log) = (Db::new().await, Log::default());
    let counter = Counter::new(&log);
    let flow = flows(&db.abide, &counter).start().await.unwrap();
    let farm = far(&db.abide, &counter).start().await.unwrap();
    let run = db.client().start(gives_up()).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(log.lines(), ["Counter.far_endless attempt 1 from None", "Cancelled"]);
    for worker in [flow, farm] {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_told_or_read_is_refused_or_left() {
    let (db, log) = (Db::new().await, Log::default());
    let counter = Counter::new(&log);
    let worker = flows(&db.abide, &counter).start().await.unwrap();
    let run = db.client().start(tells()).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(HeartbeatError::Invalid(text)))) = run.result().await
    else {
        panic!()
    };
    assert!(text.starts_with("AB0620: the details of a heartbeat are 262146 bytes"), "{text}");
    assert_eq!(start(&db, "changes").await.result().await.unwrap(), 0);
    assert_eq!(log.lines()[1], "Counter.changes_its_mind attempt 2 from None");
    worker.shutdown().await.unwrap();
}

/// A thousand activities that beat all the time cost one statement a second, not one each.
#[tokio::test]
async fn all_heartbeats_of_a_second_are_one_commit() {
    let (db, log) = (Db::new().await, Log::default());
    let counter = Counter::new(&log);
    let worker = flows(&db.abide, &counter).start().await.unwrap();
    let run = db.client().start(many(1_000)).await.unwrap();
    eventually("all beat", async || counter.beats.load(Ordering::Relaxed) > 2_000).await;
    let begun = (Instant::now(), db.abide.metrics().commits, counter.beats.load(Ordering::Relaxed));
    eventually("they beat on", async || {
        counter.beats.load(Ordering::Relaxed) > begun.2 + 20_000 && begun.0.elapsed() > secs(2)
    })
    .await;
    let commits = db.abide.metrics().commits - begun.1;
    // One a second, and what the worker writes beside: leases, the last starts. Not one for each of 20,000.
    let allowed = 10 * (begun.0.elapsed().as_secs() + 1);
    assert!(commits <= allowed, "{commits} commits in {:?}", begun.0.elapsed());
    counter.open();
    run.result().await.unwrap();
    worker.shutdown().await.unwrap();
}
