//! Histories without end: they are told of in time and suspended at the limit, by their events and by their bytes.

use super::ends::{reason, says};
use super::support::Db;
use abide::WorkflowError;
use abide::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// What one activity gives: 1 MiB.
const BYTES: usize = 1024 * 1024;

/// How often it ran.
static RAN: AtomicU32 = AtomicU32::new(0);

#[activity]
async fn bulk(bytes: usize) -> String {
    RAN.fetch_add(1, Ordering::Relaxed);
    "x".repeat(bytes)
}

#[workflow]
async fn gathers(rounds: u32) -> Result<u32, Failure> {
    for _ in 0..rounds {
        bulk(BYTES).await?;
    }
    Ok(rounds)
}

#[tokio::test]
async fn fifty_mebibytes_are_the_limit() {
    let db = Db::new().await;
    let worker = db.abide.worker("long").workflow(gathers).activity(bulk).start().await.unwrap();
    let within = db.client().start(gathers(20)).await.unwrap();
    assert_eq!(within.result().await.unwrap(), 20);
    RAN.store(0, Ordering::Relaxed);
    let run = db.client().start(gathers(80)).await.unwrap();
    let told = reason(run.result().await);
    assert_eq!(told.code(), "AB0211");
    says(told.message(), &["50 MiB", "bulk(BYTES)"]);
    assert_eq!(RAN.load(Ordering::Relaxed), 50, "what follows is not begun");
    let described = run.describe().await.unwrap();
    assert_eq!(described.awaiting.len(), 1, "it says where it stood");
    assert!(described.awaiting[0].file.ends_with("long_history.rs") && described.awaiting[0].line > 20);
    assert_eq!(described.awaiting[0].text, "bulk(BYTES)");
    // Resumed, it stands there again, and its history is no longer than before.
    run.resume().await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0211");
    assert_eq!(run.describe().await.unwrap().history_length, described.history_length);
    // A request to cancel is taken in all the same.
    run.cancel("enough").await.unwrap();
    run.resume().await.unwrap();
    let end = run.result().await;
    assert!(matches!(end, Err(WorkflowError::Cancelled)), "{end:?}");
    assert_eq!(RAN.load(Ordering::Relaxed), 50);
    worker.shutdown().await.unwrap();
}
