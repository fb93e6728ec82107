//! Types that a worker does not have: told within seconds, nothing lost, and taken up by a worker that has them.

use super::ends::{events, reason, says};
use super::support::{Db, eventually};
use abide::prelude::*;
use std::time::Duration;

#[workflow]
async fn present() -> u32 {
    1
}

#[workflow]
async fn absent(n: u32) -> u32 {
    n
}

#[activity]
async fn not_yet(n: u32) -> u32 {
    n + 1
}

#[workflow]
async fn calls_not_yet(n: u32) -> Result<u32, Failure> {
    Ok(not_yet(n).await?)
}

#[tokio::test]
async fn an_unknown_workflow_type_waits_for_a_worker_that_has_it() {
    let db = Db::new().await;
    let stranger = db.abide.worker("types").workflow(present).start().await.unwrap();
    let run = db.client().start(absent(5)).task_queue("types").await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0206");
    says(told.message(), &["absent", "register it"]);
    assert_eq!(run.describe().await.unwrap().status, ExecutionStatus::Suspended);
    // Longer than the other worker's next look: it must not use up the build's one try, nor run it in a loop.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let knows = db.abide.worker("types").workflow(absent).start().await.unwrap();
    eventually("the worker that has it takes it", async || run.result().await.ok() == Some(5)).await;
    stranger.shutdown().await.unwrap();
    knows.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_unknown_activity_suspends_where_it_is_called() {
    let db = Db::new().await;
    let without = db.abide.worker("types").workflow(calls_not_yet).start().await.unwrap();
    let run = db.client().start(calls_not_yet(1)).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0207");
    says(told.message(), &["`not_yet`", "errors_types.rs", "not_yet(n)"]);
    assert_eq!(events(&run.untyped()).await, 1, "the call had no effect and binds nobody");
    without.shutdown().await.unwrap();

    let with = db.abide.worker("types").workflow(calls_not_yet).activity(not_yet).start().await.unwrap();
    run.resume().await.unwrap();
    eventually("it goes on", async || run.result().await.ok() == Some(2)).await;
    with.shutdown().await.unwrap();
}

#[tokio::test]
async fn another_build_that_has_the_activity_takes_it_by_itself() {
    let db = Db::new().await;
    let without = db.abide.worker("types").workflow(calls_not_yet).build_id("one").start().await.unwrap();
    let run = db.client().start(calls_not_yet(1)).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!((told.code(), told.build()), ("AB0207", "one"));
    without.shutdown().await.unwrap();

    let with = db.abide.worker("types").workflow(calls_not_yet).activity(not_yet).build_id("two");
    let with = with.start().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 2, "a result waits for the build that has just come");
    with.shutdown().await.unwrap();
}
