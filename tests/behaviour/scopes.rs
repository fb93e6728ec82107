//! The programs of `docs/scopes.md`: what Temporal calls a cancellation scope is a future here.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

/// A scope that the workflow cancels.
#[workflow]
async fn cancel_a_scope() -> bool {
    let search = workflow::spawn(async {
        Steps::note(1).await?;
        Steps::endless("search".into()).await
    });
    workflow::sleep(millis(300)).await;
    search.abort();
    search.await.is_err()
}

/// A scope that ends with the function that began it.
#[workflow]
async fn leave_a_scope() -> Result<u32, CallError> {
    let search = Steps::endless("search".into());
    workflow::select! {
        _ = search => Ok(0),
        n = Steps::note(7) => n, // the search is dropped, and so cancelled
    }
}

/// A scope with a time limit.
#[workflow]
async fn limit_a_scope() -> Result<String, CallError> {
    let both = async {
        Steps::note(1).await?;
        Steps::endless("report".into()).await
    };
    match workflow::timeout(millis(500), both).await {
        Ok(report) => report,
        Err(Elapsed) => Ok("no report".into()),
    }
}

/// A scope with a time limit that several waits share.
#[workflow]
async fn share_a_limit() -> usize {
    let until = workflow::now() + millis(500);
    let mut late = 0;
    for name in ["a", "b"] {
        late += usize::from(workflow::timeout_at(until, Steps::endless(name.into())).await.is_err());
    }
    late
}

/// A scope that a cancellation does not reach.
#[workflow]
async fn shield_a_scope() -> Result<(), CallError> {
    workflow::shielded(async {
        Steps::note(1).await?;
        workflow::sleep(millis(500)).await;
        Steps::note(2).await // runs, even if the workflow was cancelled meanwhile
    })
    .await?;
    Steps::note(3).await?; // does not
    Ok(())
}

/// What is done when the workflow is cancelled.
#[workflow]
async fn clean_up() -> Result<String, Failure> {
    let reason = workflow::select! {
        done = Steps::endless("work".into()) => return Ok(done?),
        reason = workflow::cancelled() => reason,
    };
    Steps::undo("work".into()).await?;
    Ok(format!("cleaned up: {reason}"))
}

/// What is undone when the workflow fails or is cancelled.
#[workflow]
async fn undo() -> Result<String, Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(Steps::undo("booking".into()));
    Steps::note(1).await?;
    Ok(Steps::endless("payment".into()).await?)
}

/// A scope whose first failure cancels the rest.
#[workflow]
async fn all_or_nothing() -> Result<(), Failure> {
    let other = async {
        Steps::endless("other".into()).await?;
        Ok::<_, Failure>(())
    };
    workflow::try_join!(other, async {
        workflow::sleep(millis(300)).await;
        Ok::<_, Failure>(Steps::refuse("one".into()).await?)
    })?;
    Ok(())
}

async fn worker(db: &Db, log: &Log) -> Worker {
    let worker = db.abide.worker("scopes").workflow(cancel_a_scope).workflow(leave_a_scope);
    let worker = worker.workflow(limit_a_scope).workflow(share_a_limit).workflow(shield_a_scope);
    let worker = worker.workflow(clean_up).workflow(undo).workflow(all_or_nothing);
    worker.activities(Steps(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn a_scope_is_a_future() {
    let db = Db::new().await;
    let log = Log::default();
    let worker = worker(&db, &log).await;
    let stopped = async |names: &[&str]| {
        let all = || names.iter().all(|name| log.lines().contains(&format!("stopped {name}")));
        eventually(&format!("{names:?} stopped"), async || all()).await;
    };
    let client = db.client();
    assert!(client.start(cancel_a_scope()).id("cancel").await.unwrap().result().await.unwrap());
    stopped(&["search"]).await;
    assert_eq!(client.start(leave_a_scope()).id("leave").await.unwrap().result().await.unwrap(), 7);
    let limited = client.start(limit_a_scope()).id("limit").await.unwrap();
    assert_eq!(limited.result().await.unwrap(), "no report");
    stopped(&["report"]).await;
    assert_eq!(client.start(share_a_limit()).id("share").await.unwrap().result().await.unwrap(), 2);
    let failed = client.start(all_or_nothing()).id("all").await.unwrap().result().await.unwrap_err();
    assert!(failed.to_string().contains("one refused"), "{failed}");
    stopped(&["other"]).await;
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_cancelled_workflow_leaves_its_scopes() {
    let db = Db::new().await;
    let log = Log::default();
    let worker = worker(&db, &log).await;
    let has = |line: &str| log.lines().contains(&line.to_owned());
    let client = db.client();
    let shielded = client.start(shield_a_scope()).id("shield").await.unwrap();
    eventually("the shielded scope began", async || has("note 1")).await;
    shielded.cancel("enough").await.unwrap();
    assert!(matches!(shielded.result().await, Err(WorkflowError::Cancelled)));
    assert!(has("note 2") && !has("note 3"), "{:?}", log.lines());

    let cleaned = client.start(clean_up()).id("clean").await.unwrap();
    eventually("the work began", async || has("begin work")).await;
    cleaned.cancel("enough").await.unwrap();
    assert_eq!(cleaned.result().await.unwrap(), "cleaned up: enough");
    assert!(has("undo work"));

    let undone = client.start(undo()).id("undo").await.unwrap();
    eventually("the payment began", async || has("begin payment")).await;
    undone.cancel("enough").await.unwrap();
    assert!(matches!(undone.result().await, Err(WorkflowError::Cancelled)));
    assert!(has("undo booking"));
    worker.shutdown().await.unwrap();
}

/// Each Rust block of the page stands in this file.
#[test]
fn the_page_shows_these_programs() {
    let page = include_str!("../../docs/scopes.md");
    let file = include_str!("scopes.rs");
    let blocks: Vec<_> =
        page.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 8, "the page shows {} programs", blocks.len());
    for block in blocks {
        assert!(file.contains(block.trim_end()), "not in tests/behaviour/scopes.rs:\n{block}");
    }
}
