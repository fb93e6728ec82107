//! Activities elsewhere: a task queue sends them to a worker that serves it, in any process. Their attempts outlive
//! the workflow's worker, and its death does not make them run twice.

use super::ends::{Gate, reason};
use super::farm::{Farm, at_a_far_gate, fans_out, farm, flows, looks, renders, to_a_queue};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

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
    eventually("the step at home is done, and what is sent is pending", async || {
        let pending = run.describe().await.unwrap().pending_activities;
        matches!(pending.as_slice(), [sent] if sent.activity_type == "Farm.render")
    })
    .await;
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
        let lost =
            run.history().await.unwrap().into_iter().flat_map(|row| row.events).filter(
                |event| matches!(event, abide::history::Event::Recovered { lost } if !lost.is_empty()),
            );
        assert_eq!(lost.count(), 0);
    }
    far.shutdown().await.unwrap();
    third.shutdown().await.unwrap();
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
