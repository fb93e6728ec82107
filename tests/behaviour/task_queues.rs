//! Activities elsewhere: a task queue sends them to whoever serves it, in whatever process; their attempts outlive the
//! workflow's worker, and are not run twice for it.

use super::ends::{Gate, reason};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::time::Duration;

/// What is run elsewhere: in a worker on `gpu`.
#[derive(Clone)]
struct Farm(Log);

impl Farm {
    fn began(&self, what: &str) -> u32 {
        let attempt = abide::activity::context().attempt();
        self.0.add(format!("{what} {attempt}"));
        attempt
    }
}

#[activity]
impl Farm {
    #[activity(task_queue = "gpu")]
    async fn render(&self, n: u32) -> u32 {
        self.0.add(format!("render {n}"));
        n * 2
    }

    /// What it knows about itself.
    #[activity(task_queue = "gpu", start_to_close = "60s", schedule_to_close = "30s")]
    async fn looks(&self) -> String {
        let context = abide::activity::context();
        let left = context.time_left().expect("it has a limit");
        format!(
            "{} {} {} {} {}",
            context.idempotency_key(),
            context.workflow_id(),
            context.workflow_type(),
            context.activity_type(),
            left > secs(20) && left <= secs(30)
        )
    }

    #[activity(task_queue = "gpu", retry(initial_interval = "20ms", max_attempts = 3))]
    async fn flaky(&self, good: u32) -> Result<u32, Failure> {
        match self.began("flaky") {
            attempt if attempt >= good => Ok(attempt),
            attempt => Err(Failure::new(format!("attempt {attempt}"))),
        }
    }

    #[activity(
        task_queue = "gpu",
        start_to_close = "50ms",
        retry(initial_interval = "5ms", max_attempts = 2)
    )]
    async fn slow(&self) -> u32 {
        self.began("slow");
        std::future::pending().await
    }

    #[activity(task_queue = "gpu", schedule_to_start = "200ms")]
    async fn soon_or_never(&self) -> u32 {
        self.began("soon or never")
    }

    #[activity(task_queue = "gpu", schedule_to_close = "300ms")]
    async fn in_all(&self) -> u32 {
        self.began("in all");
        std::future::pending().await
    }

    /// Runs until it is asked to stop.
    #[activity(task_queue = "gpu")]
    async fn endless(&self) -> u32 {
        self.began("endless");
        abide::activity::context().cancelled().await;
        self.0.add("stopped");
        1
    }

    /// The same, and its end is waited for.
    #[activity(task_queue = "gpu", cancellation = "wait")]
    async fn tidy(&self) -> Result<u32, Failure> {
        self.began("tidy");
        abide::activity::context().cancelled().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0.add("tidied up");
        Err(Failure::new("stopped"))
    }

    #[activity(task_queue = "gpu", retry(max_attempts = 1))]
    async fn once(&self) -> u32 {
        self.began("once");
        std::future::pending().await
    }

    /// The first attempt goes down with its worker.
    #[activity(task_queue = "gpu")]
    async fn sturdy(&self) -> u32 {
        match self.began("sturdy") {
            1 => std::future::pending().await,
            attempt => attempt,
        }
    }
}

#[workflow]
async fn renders(n: u32) -> Result<u32, Failure> {
    let here = Steps::note(n).await?;
    let there = Farm::render(here).await?;
    Ok(Steps::note(there).await?)
}

#[workflow]
async fn fans_out(of: u32) -> Result<u32, Failure> {
    let all = futures::future::join_all((0..of).map(Farm::render)).await;
    Ok(all.into_iter().sum::<Result<u32, _>>()?)
}

#[workflow]
async fn looks() -> Result<String, Failure> {
    Ok(Farm::looks().await?)
}

#[workflow]
async fn flaky(good: u32) -> Result<u32, ActivityError<Failure>> {
    Farm::flaky(good).await
}

#[workflow]
async fn slow() -> Result<u32, CallError> {
    Farm::slow().await
}

#[workflow]
async fn soon_or_never() -> Result<u32, CallError> {
    Farm::soon_or_never().await
}

#[workflow]
async fn in_all() -> Result<u32, CallError> {
    Farm::in_all().await
}

#[workflow]
async fn loses() -> Result<u32, Failure> {
    workflow::select! {
        n = Farm::endless() => Ok(n?),
        () = workflow::sleep(Duration::from_millis(300)) => Ok(Steps::note(7).await?),
    }
}

#[workflow]
async fn tidies() -> Result<u32, Failure> {
    workflow::select! {
        n = Farm::tidy() => Ok(n?),
        () = workflow::sleep(Duration::from_millis(300)) => Ok(7),
    }
}

/// Called and dropped in one turn.
#[workflow]
async fn tidies_nothing() -> Result<u32, Failure> {
    let mut call = Box::pin(Farm::tidy());
    let _ = futures::poll!(&mut call);
    drop(call);
    Ok(8)
}

#[workflow]
async fn once() -> Result<u32, CallError> {
    Farm::once().await
}

#[workflow]
async fn sturdy() -> Result<u32, CallError> {
    Farm::sturdy().await
}

/// A gate in another process.
#[workflow]
async fn at_a_far_gate() -> Result<u32, Failure> {
    Steps::note(1).await?;
    Gate::pass().task_queue("gpu").await?;
    Ok(Steps::note(2).await?)
}

#[workflow]
async fn to_a_queue(name: String) -> Result<u32, CallError> {
    Farm::render(1).task_queue(name).await
}

#[workflow(name = "sends")]
async fn sends(n: u32) -> Result<u32, Failure> {
    Ok(Steps::note(n).task_queue("gpu").await?)
}

/// The next version of `sends`.
#[workflow(name = "sends")]
async fn keeps_now(n: u32) -> Result<u32, Failure> {
    Ok(Steps::note(n).await?)
}

#[workflow(name = "keeps")]
async fn keeps() -> Result<(), Failure> {
    Ok(Gate::pass().await?)
}

/// The next version of `keeps`.
#[workflow(name = "keeps")]
async fn sends_now() -> Result<(), Failure> {
    Ok(Gate::pass().task_queue("gpu").await?)
}

fn flows(db: &abide::Abide, log: &Log) -> abide::WorkerBuilder {
    let builder = db.worker("flows").workflow(renders).workflow(fans_out).workflow(looks).workflow(flaky);
    let builder = builder.workflow(slow).workflow(soon_or_never).workflow(in_all).workflow(loses);
    let builder = builder.workflow(tidies).workflow(tidies_nothing).workflow(once).workflow(sturdy);
    let builder = builder.workflow(at_a_far_gate).workflow(to_a_queue);
    builder.activities(Steps(log.clone()))
}

fn farm(db: &abide::Abide, log: &Log) -> abide::WorkerBuilder {
    db.worker("gpu").activities(Farm(log.clone())).shutdown_grace(Duration::from_millis(500))
}

#[tokio::test]
async fn it_runs_where_its_queue_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let (at_home, away) = (Log::default(), Log::default());
    let flows = flows(&here, &at_home).start().await.unwrap();
    let farm = farm(&there, &away).start().await.unwrap();
    let run = here.client().start(renders(5)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    assert_eq!(
        (at_home.lines(), away.lines()),
        (vec!["note 5".into(), "note 10".into()], vec!["render 5".into()])
    );
    let run = here.client().start(looks()).id("w").await.unwrap();
    let expected = format!("{}/2 w looks Farm.looks true", run.run_id().unwrap());
    assert_eq!(run.result().await.unwrap(), expected, "as if it had run at home");
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn it_waits_for_a_worker_and_says_where() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(renders(5)).await.unwrap();
    eventually("it is sent", async || run.describe().await.unwrap().pending_activities.len() == 1).await;
    eventually("the step at home is done", async || log.lines().len() == 1).await;
    let pending = &run.describe().await.unwrap().pending_activities;
    assert_eq!((pending[0].activity_type.as_str(), pending[0].attempt), ("Farm.render", 1));
    assert_eq!(pending[0].task_queue.as_deref(), Some("gpu"));
    // A worker of the queue that has not this activity leaves it to one that has.
    let other = db.abide.worker("gpu").activities(Gate::closed()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 10);
    for worker in [other, farm, flows] {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn the_workflows_own_queue_is_a_queue_like_any_other() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = flows(&db.abide, &log).activities(Farm(log.clone())).start().await.unwrap();
    let run = db.client().start(to_a_queue("flows".to_owned())).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    for bad in [String::new(), "x".repeat(1_001)] {
        let run = db.client().start(to_a_queue(bad)).await.unwrap();
        let Err(WorkflowError::Failed(CallError::Invalid(text))) = run.result().await else { panic!("no") };
        assert!(text.starts_with("AB0610: the task queue of activity `Farm.render` has "), "{text}");
    }
    assert_eq!(log.lines(), ["render 1"]);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_plain_call_still_needs_the_registration() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("flows").workflow(renders).start().await.unwrap();
    let run = db.client().start(renders(1)).await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0207");
    worker.shutdown().await.unwrap();
    let worker = flows(&db.abide, &log).build_id("with all").start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    eventually("it goes on", async || run.describe().await.unwrap().suspension.is_none()).await;
    assert_eq!(run.result().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn attempts_are_counted_limited_and_typed() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let good = db.client().start(flaky(3)).await.unwrap();
    assert_eq!(good.result().await.unwrap(), 3);
    let bad = db.client().start(flaky(4)).await.unwrap();
    let Err(WorkflowError::Failed(ActivityError::Failed(error))) = bad.result().await else { panic!("no") };
    assert_eq!(error.to_string(), "attempt 3");
    let three = ["flaky 1", "flaky 2", "flaky 3"];
    assert_eq!(log.lines(), [three, three].concat());
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn time_limits_hold_elsewhere() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let run = db.client().start(soon_or_never()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut(kind))) = run.result().await else { panic!("no") };
    assert_eq!(kind, TimeoutKind::ScheduleToStart, "nobody is there");
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(slow()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut(kind))) = run.result().await else { panic!("no") };
    assert_eq!(kind, TimeoutKind::StartToClose);
    assert_eq!(log.lines(), ["slow 1", "slow 2"], "that of an attempt is worth another");
    let run = db.client().start(in_all()).await.unwrap();
    let Err(WorkflowError::Failed(CallError::TimedOut(kind))) = run.result().await else { panic!("no") };
    assert_eq!(kind, TimeoutKind::ScheduleToClose);
    assert_eq!(log.lines()[2..], ["in all 1"]);
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_dropped_call_stops_its_attempt_and_is_not_waited_for() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(loses()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    eventually("it was told", async || log.lines() == ["endless 1", "stopped"]).await;
    // What nobody has begun is never begun.
    farm.shutdown().await.unwrap();
    let run = db.client().start(loses()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    let again = self::farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(renders(1)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(log.lines()[2..], ["render 1"]);
    flows.shutdown().await.unwrap();
    again.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_close_waits_for_an_end_elsewhere_where_it_was_asked_to() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(tidies()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 7);
    assert_eq!(log.lines(), ["tidy 1", "tidied up"], "before the close");
    farm.shutdown().await.unwrap();
    // Nobody has begun it, and nobody will.
    for run in [db.client().start(tidies()).await.unwrap(), db.client().start(tidies()).await.unwrap()] {
        assert_eq!(run.result().await.unwrap(), 7);
    }
    let run = db.client().start(tidies_nothing()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 8);
    assert_eq!(log.lines().len(), 2);
    flows.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_and_a_terminated_workflow_stop_theirs() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let farm = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    eventually("it runs", async || log.lines() == ["sturdy 1"]).await;
    run.cancel("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
    let run = db.client().start(to_a_queue("nobody's".to_owned())).await.unwrap();
    run.terminate("enough").await.unwrap();
    assert!(matches!(run.result().await, Err(WorkflowError::Terminated)));
    let run = db.client().start(loses()).await.unwrap();
    eventually("it runs", async || log.lines().contains(&"endless 1".to_owned())).await;
    run.terminate("enough").await.unwrap();
    eventually("it was told", async || log.lines().contains(&"stopped".to_owned())).await;
    flows.shutdown().await.unwrap();
    farm.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_attempt_outlives_the_workflows_worker() {
    let (db, log, gate) = (Db::new().await, Log::default(), Gate::closed());
    let first = flows(&db.abide, &log).start().await.unwrap();
    let far = db.abide.worker("gpu").activities(gate.clone()).start().await.unwrap();
    let run = db.client().start(at_a_far_gate()).await.unwrap();
    let dropped = db.client().start(at_a_far_gate()).await.unwrap();
    for run in [&run, &dropped] {
        Gate::reached(&run.untyped()).await;
    }
    // One that leaves in order, one that is dropped: the attempt loses nothing by either.
    first.shutdown().await.unwrap();
    let second = flows(&db.abide, &log).start().await.unwrap();
    eventually("it is at work", async || run.describe().await.is_ok()).await;
    drop(second);
    gate.open();
    let pending = run.describe().await.unwrap().pending_activities;
    assert!(pending.iter().all(|activity| activity.attempt == 1), "{pending:?}");
    let third = flows(&db.abide, &log).start().await.unwrap();
    for run in [run, dropped] {
        assert_eq!(run.result().await.unwrap(), 2);
        let lost = run.history().await.unwrap().into_iter().flat_map(|row| row.events).filter(|event| {
            matches!(event, abide::history::Event::AttemptFailed { .. })
                || matches!(event, abide::history::Event::Recovered { lost } if !lost.is_empty())
        });
        assert_eq!(lost.count(), 0);
    }
    far.shutdown().await.unwrap();
    third.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_loses_its_worker_is_run_by_another() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let first = farm(&db.abide, &log).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    let once = db.client().start(once()).await.unwrap();
    eventually("both run", async || log.lines().len() == 2).await;
    drop(first);
    let second = farm(&db.abide, &log).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert!(matches!(once.result().await, Err(WorkflowError::Failed(CallError::WorkerLost))));
    assert_eq!(log.counts().get("once 1"), Some(&1));
    assert_eq!(log.lines().len(), 3, "what may run once never runs twice: {:?}", log.lines());
    flows.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_shutdown_fails_what_runs_and_gives_back_what_waits() {
    let (db, log) = (Db::new().await, Log::default());
    let flows = flows(&db.abide, &Log::default()).start().await.unwrap();
    let short = |slots| {
        farm(&db.abide, &log).max_concurrent_activities(slots).shutdown_grace(Duration::from_millis(50))
    };
    let first = short(1).start().await.unwrap();
    let run = db.client().start(sturdy()).await.unwrap();
    eventually("it runs", async || log.lines().len() == 1).await;
    let waiting = db.client().start(renders(3)).await.unwrap();
    eventually("it is sent", async || waiting.describe().await.unwrap().history_length >= 4).await;
    first.shutdown().await.unwrap();
    eventually("its failure is recorded", async || {
        let pending = run.describe().await.unwrap().pending_activities;
        pending.iter().any(|activity| activity.attempt == 2)
    })
    .await;
    let failure = run.describe().await.unwrap().pending_activities[0].last_failure.clone().unwrap();
    assert_eq!(failure.kind, abide::history::FailureKind::WorkerShutdown);
    let second = short(2).start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2);
    assert_eq!(waiting.result().await.unwrap(), 6);
    flows.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn many_are_shared_out_and_each_runs_once() {
    const MANY: u32 = 200;
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (Db::open(&folder).await, Db::open(&folder).await);
    let (a, b) = (Log::default(), Log::default());
    let flows = flows(&here, &Log::default()).start().await.unwrap();
    let first = farm(&here, &a).max_concurrent_activities(4).start().await.unwrap();
    let second = farm(&there, &b).max_concurrent_activities(4).start().await.unwrap();
    let run = here.client().start(fans_out(MANY)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), MANY * (MANY - 1));
    let mut counts = a.counts();
    b.counts().into_iter().for_each(|(line, n)| *counts.entry(line).or_default() += n);
    assert_eq!(counts.len(), MANY as usize);
    assert!(counts.values().all(|n| *n == 1), "{counts:?}");
    for worker in [flows, first, second] {
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_evicted_workflow_waits_unowned_and_goes_on() {
    let (db, log, gate) = (Db::new().await, Log::default(), Gate::closed());
    let flows = flows(&db.abide, &log).cache_bytes(1).start().await.unwrap();
    let far = db.abide.worker("gpu").activities(gate.clone()).start().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..10 {
        runs.push(db.client().start(at_a_far_gate()).await.unwrap());
    }
    for run in &runs {
        Gate::reached(&run.untyped()).await;
    }
    gate.open();
    for run in &runs {
        assert_eq!(run.result().await.unwrap(), 2);
    }
    assert!(log.counts().values().all(|n| *n == 10), "a replay runs no step again: {:?}", log.counts());
    flows.shutdown().await.unwrap();
    far.shutdown().await.unwrap();
}

/// History keeps where an activity was sent: code that would send it elsewhere waits for it where it is.
#[tokio::test]
async fn what_is_sent_stays_where_it_was_sent() {
    let (db, home, away) = (Db::new().await, Log::default(), Log::default());
    let build = || db.abide.worker("flows").activities(Steps(home.clone())).activities(Gate::closed());
    let first = build().workflow(sends).workflow(keeps).shutdown_grace(secs(0)).start().await.unwrap();
    let sent = db.client().start(sends(1)).await.unwrap();
    let kept = db.client().start(keeps()).await.unwrap();
    Gate::reached(&kept.untyped()).await;
    eventually("it is sent", async || sent.describe().await.unwrap().pending_activities.len() == 1).await;
    first.shutdown().await.unwrap();
    let gate = Gate::closed();
    gate.open();
    let second = db.abide.worker("flows").activities(Steps(home.clone())).activities(gate);
    let second = second.workflow(keeps_now).workflow(sends_now).start().await.unwrap();
    kept.result().await.unwrap();
    let gpu = db.abide.worker("gpu").activities(Steps(away.clone())).start().await.unwrap();
    assert_eq!(sent.result().await.unwrap(), 1);
    assert_eq!((home.lines(), away.lines()), (vec![], vec!["note 1".to_owned()]));
    second.shutdown().await.unwrap();
    gpu.shutdown().await.unwrap();
}
