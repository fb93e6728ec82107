//! An activity that waits for a workflow whose activity needs the very slot that it holds: a warning names both.

use super::busy_runtime::Codes;
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

/// An activity that calls the engine.
struct Calls {
    client: Client,
    codes: Log,
}

#[activity]
impl Calls {
    /// Waits for another workflow, until the engine has said what it thinks of that.
    async fn wait(&self, n: u32) -> Result<u32, Failure> {
        let other = self.client.start(needs_a_slot(n)).id("needs").await?;
        let told = async {
            while !self.codes.lines().iter().any(|code| code == "AB0624") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            n = other.result() => Ok(n?),
            () = told => Ok(0),
        }
    }
}

#[workflow]
async fn waits(n: u32) -> Result<u32, Failure> {
    Ok(Calls::wait(n).await?)
}

#[workflow]
async fn needs_a_slot(n: u32) -> Result<u32, Failure> {
    Ok(Steps::note(n).await?)
}

#[tokio::test]
async fn an_activity_that_waits_for_its_own_slot_is_named_at_once() {
    let (log, codes) = (Log::default(), Log::default());
    let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(Codes(codes.clone())));
    let db = Db::new().await;
    let calls = Calls { client: db.client(), codes: codes.clone() };
    let worker = db.abide.worker("full").workflow(waits).workflow(needs_a_slot).max_concurrent_activities(1);
    let worker = worker.activities(calls).activities(Steps(log.clone())).start().await.unwrap();
    let run = db.client().start(waits(7)).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 0, "it was told, and gave its slot back");
    let other = db.client().execution("needs");
    let done = async || other.describe().await.is_ok_and(|it| it.status == ExecutionStatus::Completed);
    eventually("then the other one goes on", done).await;
    assert_eq!(log.counts()["note 7"], 1);
    assert_eq!(codes.counts().get("AB0624"), Some(&1), "once: {:?}", codes.lines());
    worker.shutdown().await.unwrap();
}
