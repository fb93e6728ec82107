//! Child workflows on the real stores: ends, ids, queues, evictions, and what they cost.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use abide::testing::TestEnv;
use futures::future::join_all;

#[workflow]
async fn ship(parcel: u32) -> Result<u32, Failure> {
    match parcel {
        13 => Err(Failure::new("lost at sea")),
        n => Ok(Steps::note(n).await? * 2),
    }
}

#[workflow]
async fn plain(parcel: u32) -> u32 {
    parcel + 1
}

/// Waits for ever.
#[workflow]
async fn anchored() -> u32 {
    workflow::sleep(days(3_650)).await;
    0
}

#[workflow]
async fn trip(parcels: Vec<u32>) -> Result<u32, Failure> {
    let all = join_all(parcels.into_iter().map(ship)).await;
    let mut sum = plain(0).await?;
    for parcel in all {
        sum += parcel?;
    }
    Ok(sum)
}

#[workflow]
async fn seen(parcel: u32) -> String {
    format!("{:?}", ship(parcel).await.map_err(|error| error.to_string()))
}

#[workflow]
async fn named(id: String) -> String {
    let first = plain(1).id(&id).await;
    let second = anchored().id(&id).parent_close(ParentClosePolicy::Abandon).start().await;
    let third = plain(2).id(&id).await;
    let second = second.map(|ship| ship.id().to_owned());
    format!("{first:?} {second:?} {third:?}")
}

#[workflow]
async fn count(n: u32) -> Result<u32, Failure> {
    match n {
        0 => Ok(workflow::info().depth),
        n => Ok(count(n - 1).await?),
    }
}

#[workflow]
async fn above() -> Result<String, Failure> {
    Ok(below().await?)
}

#[workflow]
async fn below() -> Result<String, Failure> {
    let info = workflow::info();
    let parent = info.parent.map(|parent| parent.workflow_id);
    Ok(format!("{parent:?} {} {}", info.depth, info.task_queue))
}

#[workflow]
async fn elsewhere() -> Result<String, Failure> {
    Ok(below().task_queue("ships").await?)
}

#[workflow]
async fn harbour() -> Result<u32, Failure> {
    let gone = plain(1).id("gone").await?;
    Ok(gone + anchored().id("anchored").await?)
}

async fn worker(db: &Db, cache: usize) -> (Worker, Log) {
    let log = Log::default();
    let builder =
        db.abide.worker("children").workflow(ship).workflow(plain).workflow(anchored).workflow(trip);
    let builder = builder.workflow(seen).workflow(named).workflow(count).workflow(above).workflow(below);
    let builder = builder.workflow(harbour).workflow(elsewhere).activities(Steps(log.clone()));
    (builder.cache_bytes(cache).start().await.unwrap(), log)
}

#[tokio::test]
async fn children_are_joined_live_and_evicted() {
    for (cache, parcels) in [(usize::MAX, 1_000), (1, 100)] {
        let db = Db::new().await;
        let (worker, log) = worker(&db, cache).await;
        let run = db.client().start(trip((20..20 + parcels).collect())).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1 + 2 * (20..20 + parcels).sum::<u32>());
        assert_eq!(log.lines().len(), parcels as usize, "each child ran once");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_end_reaches_the_parent_as_what_it_is() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let start = |parcel| db.client().start(seen(parcel));
    assert_eq!(start(4).await.unwrap().result().await.unwrap(), "Ok(8)");
    assert_eq!(start(13).await.unwrap().result().await.unwrap(), "Err(\"lost at sea\")");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_description_names_the_parent_and_the_open_children() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let run = db.client().start(harbour()).id("harbour").await.unwrap();
    let child = db.client().execution("anchored");
    let lies = async || child.describe().await.is_ok_and(|seen| !seen.awaiting.is_empty());
    eventually("it lies at anchor", lies).await;
    let (parent, seen) = (run.describe().await.unwrap(), child.describe().await.unwrap());
    let open: Vec<_> = parent.pending_children.iter().map(|child| child.workflow_id.as_str()).collect();
    assert_eq!((open, parent.pending_children[0].workflow_type.as_str()), (vec!["anchored"], "anchored"));
    assert_eq!((parent.parent, parent.attempt, seen.attempt), (None, 1, 1));
    let of = seen.parent.unwrap();
    assert_eq!((of.workflow_id.as_str(), of.run_id), ("harbour", parent.run_id));
    run.terminate("it was a test").await.unwrap();
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_given_id_is_taken_while_a_run_is_open() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let run = db.client().start(named("ship-7".to_owned())).await.unwrap();
    let told = run.result().await.unwrap();
    assert_eq!(told, "Ok(2) Ok(\"ship-7\") Err(IdTaken(\"ship-7\"))");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_child_knows_its_parent_and_its_depth() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let run = db.client().start(above()).id("top").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "Some(\"top\") 1 children");
    let run = db.client().start(count(20)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 20);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_child_may_be_of_another_queue() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let ships = db.abide.worker("ships").workflow(below).start().await.unwrap();
    let run = db.client().start(elsewhere()).id("top").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "Some(\"top\") 1 ships");
    worker.shutdown().await.unwrap();
    ships.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_empty_child_costs_one_commit_and_its_parent_two() {
    let db = Db::new().await;
    let (worker, _) = worker(&db, usize::MAX).await;
    let before = db.abide.metrics();
    let run = db.client().start(above()).await.unwrap();
    run.result().await.unwrap();
    assert_eq!(
        db.abide.metrics().appends - before.appends,
        3,
        "the child's birth rides in its parent's turn"
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn children_run_in_the_test_environment() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = env.worker("children").workflow(count).workflow(named).workflow(anchored).workflow(plain);
    let _worker = worker.start().await?;
    let run = env.client().start(count(50)).await?;
    assert_eq!(run.result().await?, 50);
    let run = env.client().start(named("ship-7".to_owned())).await?;
    assert!(run.result().await?.ends_with("Err(IdTaken(\"ship-7\"))"));
    Ok(())
}
