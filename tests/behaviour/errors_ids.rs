//! Ids: taken, used before, too long; what the policies make of it; and starts that are repeated.

use super::ends::{Gate, refused};
use super::support::Db;
use abide::prelude::*;

#[workflow]
async fn holds(n: u32) -> Result<u32, Failure> {
    Gate::pass().await?;
    Ok(n)
}

#[workflow]
async fn fails() -> Result<u32, Failure> {
    Err(Failure::new("as asked"))
}

#[workflow]
async fn done(n: u32) -> u32 {
    n
}

async fn worker(db: &Db, gate: &Gate) -> abide::Worker {
    let builder = db.abide.worker("ids").workflow(holds).workflow(fails).workflow(done);
    builder.activities(gate.clone()).shutdown_grace(secs(0)).start().await.unwrap()
}

#[tokio::test]
async fn an_open_run_keeps_its_id() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let (worker, client) = (worker(&db, &gate).await, db.client());
    let first = client.start(holds(1)).id("a").await.unwrap();
    assert_eq!(refused(client.start(holds(2)).id("a").await), "AB0401");
    assert_eq!(refused(client.start(done(2)).id("a").await), "AB0401", "also for another type");

    let same = client.start(holds(3)).id("a").id_conflict_policy(IdConflictPolicy::UseExisting);
    let same = same.await.unwrap();
    assert_eq!(same.run_id(), first.run_id());
    gate.open();
    assert_eq!(same.result().await.unwrap(), 1, "the open run's input stands");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_open_run_can_be_replaced() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let (worker, client) = (worker(&db, &gate).await, db.client());
    let first = client.start(holds(1)).id("a").await.unwrap();
    Gate::reached(&first.untyped()).await;
    let second = client.start(holds(2)).id("a").id_conflict_policy(IdConflictPolicy::TerminateExisting);
    let second = second.await.unwrap();
    assert_ne!(second.run_id(), first.run_id());
    assert!(matches!(first.result().await, Err(WorkflowError::Terminated)));
    gate.open();
    assert_eq!(second.result().await.unwrap(), 2);
    assert_eq!(client.handle::<holds>("a").result().await.unwrap(), 2, "the id means the newest run");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_closed_run_frees_its_id_as_the_policy_says() {
    let db = Db::new().await;
    let (worker, client) = (worker(&db, &Gate::closed()).await, db.client());
    client.start(done(1)).id("done").await.unwrap().result().await.unwrap();
    client.start(fails()).id("failed").await.unwrap().result().await.unwrap_err();

    let again = |id: &str, policy| client.start(done(2)).id(id).id_reuse_policy(policy);
    assert_eq!(refused(again("done", IdReusePolicy::RejectDuplicate).await), "AB0402");
    assert_eq!(refused(again("done", IdReusePolicy::AllowDuplicateFailedOnly).await), "AB0402");
    assert_eq!(refused(again("failed", IdReusePolicy::RejectDuplicate).await), "AB0402");
    let after_failure = again("failed", IdReusePolicy::AllowDuplicateFailedOnly).await.unwrap();
    assert_eq!(after_failure.result().await.unwrap(), 2);
    let after_success = again("done", IdReusePolicy::AllowDuplicate).await.unwrap();
    assert_eq!(after_success.result().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_repeated_start_answers_with_the_first_run() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let (worker, client) = (worker(&db, &gate).await, db.client());
    let first = client.start(holds(1)).id("a").request_id("r").await.unwrap();
    let open = client.start(holds(2)).id("a").request_id("r").await.unwrap();
    assert_eq!(open.run_id(), first.run_id());
    gate.open();
    assert_eq!(open.result().await.unwrap(), 1);
    let closed = client.start(holds(3)).id("a").request_id("r").await.unwrap();
    assert_eq!(closed.run_id(), first.run_id(), "also after it has closed");
    let by_policy = client.start(holds(4)).id("a").request_id("r");
    let by_policy = by_policy.id_reuse_policy(IdReusePolicy::RejectDuplicate).await.unwrap();
    assert_eq!(by_policy.run_id(), first.run_id(), "and whatever the policies say");
    worker.shutdown().await.unwrap();

    // The same without a worker, straight into the database.
    let alone = client.clone().task_queue("ids");
    let known = alone.start(holds(5)).id("a").request_id("r").await.unwrap();
    assert_eq!(known.run_id(), first.run_id());
    let unowned = alone.start(holds(6)).id("b").request_id("s").await.unwrap();
    let again = alone.start(holds(7)).id("c").request_id("s").await.unwrap();
    assert_eq!((again.run_id(), again.id()), (unowned.run_id(), "b"));
}

#[tokio::test]
async fn the_policies_hold_without_a_worker() {
    let db = Db::new().await;
    let client = db.client().task_queue("ids");
    let first = client.start(done(1)).id("a").await.unwrap();
    assert_eq!(refused(client.start(done(2)).id("a").await), "AB0401");
    let same = client.start(done(2)).id("a").id_conflict_policy(IdConflictPolicy::UseExisting);
    assert_eq!(same.await.unwrap().run_id(), first.run_id());
    let second = client.start(done(3)).id("a").id_conflict_policy(IdConflictPolicy::TerminateExisting);
    let second = second.await.unwrap();
    assert!(matches!(first.result().await, Err(WorkflowError::Terminated)));
    let worker = worker(&db, &Gate::closed()).await;
    assert_eq!(second.result().await.unwrap(), 3);
    assert_eq!(
        refused(client.start(done(4)).id("a").id_reuse_policy(IdReusePolicy::RejectDuplicate).await),
        "AB0402"
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn ids_have_1_to_1000_characters() {
    let (db, longest) = (Db::new().await, "ä".repeat(abide::MAX_ID_CHARS));
    let client = db.client().task_queue("ids");
    let long = format!("{longest}!");
    for id in ["", long.as_str()] {
        assert_eq!(refused(client.start(done(1)).id(id).await), "AB0412");
        assert_eq!(refused(client.start(done(1)).request_id(id).await), "AB0412");
        assert_eq!(refused(client.start(done(1)).task_queue(id).await), "AB0412");
        assert_eq!(refused(client.execution("none").cancel("x").request_id(id).await), "AB0412");
    }
    assert!(client.list(ListFilter::new()).await.unwrap().executions.is_empty());
    client.start(done(1)).id(longest.as_str()).await.unwrap();
    assert_eq!(client.execution(longest.as_str()).describe().await.unwrap().workflow_id, longest);
}
