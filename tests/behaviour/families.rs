//! What a close means for children, what an end from outside means for the parent, and messages from a parent to its
//! child.

use super::support::{Db, eventually};
use abide::prelude::*;

/// Waits until it is told to go.
#[derive(Default)]
struct Ship {
    goes: bool,
}

#[workflow]
impl Ship {
    #[run]
    async fn run(&mut self, n: u32) -> u32 {
        workflow::until!(self.goes).await;
        n
    }

    #[signal]
    fn go(&mut self) {
        self.goes = true;
    }
}

/// Starts three ships that outlive it, each with another policy, and ends.
#[workflow]
async fn port(name: String) -> Result<(), CallError> {
    Ship::run(1).id(format!("{name}-terminated")).start().await?;
    let cancelled = Ship::run(2).id(format!("{name}-cancelled"));
    cancelled.parent_close(ParentClosePolicy::RequestCancel).start().await?;
    let left = Ship::run(3).id(format!("{name}-left"));
    left.parent_close(ParentClosePolicy::Abandon).start().await?;
    Ok(())
}

/// Waits for its ship.
#[workflow]
async fn owner(name: String) -> String {
    format!("{:?}", Ship::run(1).id(name).await)
}

/// Tells its ship to go, and waits for it.
#[workflow]
async fn captain() -> String {
    let ship = match Ship::run(7).start().await {
        Ok(ship) => ship,
        Err(error) => return error.to_string(),
    };
    let told = ship.go().await;
    format!("{told:?} {:?} {:?}", ship.result().await, ship.go().await)
}

/// Asks its ship to cancel.
#[workflow]
async fn pirate() -> String {
    let ship = match Ship::run(7).start().await {
        Ok(ship) => ship,
        Err(error) => return error.to_string(),
    };
    let asked = ship.cancel("enough").await;
    format!("{asked:?} {:?}", ship.result().await)
}

/// Gives its ship up.
#[workflow]
async fn impatient() -> String {
    let late = workflow::timeout(millis(20), Ship::run(7).id("given-up")).await;
    format!("{late:?}")
}

async fn worker(db: &Db, cache: usize) -> Worker {
    let builder = db.abide.worker("families").workflow(Ship::run).workflow(port).workflow(owner);
    let builder = builder.workflow(captain).workflow(pirate).workflow(impatient);
    builder.cache_bytes(cache).start().await.unwrap()
}

#[tokio::test]
async fn each_open_child_is_told_of_the_close_by_its_policy() {
    for cache in [usize::MAX, 1] {
        let db = Db::new().await;
        let (worker, client) = (worker(&db, cache).await, db.client());
        client.start(port("p".to_owned())).await.unwrap().result().await.unwrap();
        let terminated = client.handle::<Ship>("p-terminated").result().await;
        assert!(matches!(terminated, Err(WorkflowError::Terminated)), "{terminated:?}");
        let cancelled = client.handle::<Ship>("p-cancelled").result().await;
        assert!(matches!(cancelled, Err(WorkflowError::Cancelled)), "{cancelled:?}");
        let left = client.handle::<Ship>("p-left");
        left.go().await.unwrap();
        assert_eq!(left.result().await.unwrap(), 3);
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_parent_that_is_terminated_takes_its_child_along() {
    let db = Db::new().await;
    let (worker, client) = (worker(&db, usize::MAX).await, db.client());
    let parent = client.start(owner("ship-1".to_owned())).await.unwrap();
    eventually("the child runs", async || client.handle::<Ship>("ship-1").describe().await.is_ok()).await;
    parent.terminate("enough").await.unwrap();
    let child = client.handle::<Ship>("ship-1").result().await;
    assert!(matches!(child, Err(WorkflowError::Terminated)), "{child:?}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_child_that_is_terminated_is_reported() {
    let db = Db::new().await;
    let (worker, client) = (worker(&db, usize::MAX).await, db.client());
    let parent = client.start(owner("ship-1".to_owned())).await.unwrap();
    eventually("the child runs", async || client.handle::<Ship>("ship-1").describe().await.is_ok()).await;
    client.handle::<Ship>("ship-1").terminate("enough").await.unwrap();
    assert_eq!(parent.result().await.unwrap(), "Err(Terminated)");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_parent_signals_and_cancels_its_child() {
    for cache in [usize::MAX, 1] {
        let db = Db::new().await;
        let (worker, client) = (worker(&db, cache).await, db.client());
        let told = client.start(captain()).await.unwrap().result().await.unwrap();
        assert!(told.starts_with("Ok(()) Ok(7) Err(NotRunning("), "{told}");
        let asked = client.start(pirate()).await.unwrap().result().await.unwrap();
        assert_eq!(asked, "Ok(()) Err(Cancelled)");
        worker.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_cancels_its_child_before_the_parent_closes() {
    let db = Db::new().await;
    let (worker, client) = (worker(&db, usize::MAX).await, db.client());
    let late = client.start(impatient()).await.unwrap().result().await.unwrap();
    assert_eq!(late, "Err(Elapsed)");
    let child = client.handle::<Ship>("given-up").result().await;
    assert!(matches!(child, Err(WorkflowError::Cancelled)), "{child:?}");
    worker.shutdown().await.unwrap();
}
