//! What `docs/children.md` shows, and other uses of children.
#![deny(warnings)]

use abide::prelude::*;
use futures::future::join_all;

#[workflow]
async fn ship(parcel: u32) -> Result<u32, Failure> {
    workflow::sleep(secs(5)).await;
    Ok(parcel * 2)
}

#[workflow]
async fn trip(parcels: Vec<u32>) -> Result<u32, Failure> {
    let first = ship(1).await?;
    let all = join_all(parcels.into_iter().map(ship)).await;
    let mut sum = first;
    for parcel in all {
        sum += parcel?;
    }
    Ok(sum)
}

#[workflow]
async fn fleet(parcel: u32) -> Result<u32, Failure> {
    let call = ship(parcel)
        .id("ship-7")
        .task_queue("ships")
        .parent_close(ParentClosePolicy::Abandon)
        .cancellation(CancellationType::TryCancel)
        .retry(RetryPolicy { max_attempts: 3, ..RetryPolicy::default() })
        .run_timeout(days(1))
        .execution_timeout(days(30));
    Ok(call.await?)
}

#[derive(Default)]
struct Ship {
    held: bool,
}

#[workflow]
impl Ship {
    #[run]
    async fn run(&mut self, parcel: u32) -> u32 {
        workflow::until!(!self.held).await;
        parcel
    }

    #[signal]
    fn hold(&mut self, yes: bool) {
        self.held = yes;
    }
}

#[workflow]
async fn harbour(parcel: u32) -> Result<u32, Failure> {
    let ship = Ship::run(parcel).start().await?;
    ship.hold(true).await?;
    workflow::sleep(secs(60)).await;
    ship.hold(false).await?;
    Ok(ship.result().await?)
}

/// Children in the state, in macros, in tasks, and a recursion.
#[derive(Default)]
struct Tower {
    ships: Vec<workflow::ChildHandle<Ship>>,
    last: u32,
}

#[workflow]
impl Tower {
    #[run]
    async fn run(&mut self, n: u32) -> Result<u32, Failure> {
        self.ships.push(Ship::run(n).start().await?);
        self.last = Self::below(n).await?;
        let (a, b) = workflow::join!(ship(1), Ship::run(2));
        let spawned = workflow::spawn(ship(3));
        let raced = workflow::select! {
            end = ship(4) => end?,
            () = workflow::sleep(secs(1)) => 0,
        };
        let limited = workflow::timeout(secs(5), ship(6)).await;
        for ship in std::mem::take(&mut self.ships) {
            let _ = ship.cancel("enough").await;
        }
        Ok(a? + b? + spawned.await.unwrap_or(Ok(0))? + raced + limited.unwrap_or(Ok(0))?)
    }

    #[workflow::helper]
    async fn below(n: u32) -> Result<u32, ChildError<Failure>> {
        match n {
            0 => Ok(0),
            n => Tower::run(n - 1).await,
        }
    }
}

/// One helper for plain children and plain activities.
#[workflow::helper]
async fn plain(call: impl workflow::WorkflowFuture<Output = Result<u32, CallError>>) -> u32 {
    call.await.unwrap_or(0)
}

#[activity]
async fn weigh(n: u32) -> u32 {
    n
}

#[workflow]
async fn both() -> u32 {
    plain(weigh(1)).await + plain(Ship::run(2)).await
}

fn sends<T: Send>(_: T) {}

fn main() {
    sends(ship(1));
    let client: Option<Client> = None;
    if let Some(client) = client {
        drop(client.start(trip(vec![1])));
        drop(client.start(Tower::run(1)));
    }
    let _ = (fleet, harbour, both);
}
