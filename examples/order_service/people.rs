//! The people around an order: the one who places it, the sales desk that approves it, the customer who
//! changes their mind. They stand for web handlers: code that has a client and no workflow code.
//!
//! This code does not remember what it has done. After a restart it sends everything again with the same
//! request ids, and the engine accepts each request once.

use crate::Result;
use crate::orders::{Approval, Hold, Order};
use crate::progress::Board;
use crate::summary::Ending;
use crate::workflow::{OrderWorkflow, Status};
use abide::prelude::*;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;

/// How many orders are open at a time. This makes the example last about twenty seconds.
const OPEN_AT_ONCE: usize = 20;

/// Places every order and waits until it ends. An order that was placed before is found, not placed again.
pub async fn place_all(client: &Client, orders: &[Order], board: &Board) -> Result<Vec<Ending>> {
    let each = orders.iter().map(|order| see_through(client, order, board));
    futures::stream::iter(each).buffer_unordered(OPEN_AT_ONCE).try_collect().await
}

async fn see_through(client: &Client, order: &Order, board: &Board) -> Result<Ending> {
    let start = client.start(OrderWorkflow::run(order.clone()));
    let handle = start.id(&order.id).request_id(format!("place {}", order.id)).await?;
    let _shown = board.show(handle.clone());
    tokio::select! {
        biased;
        ending = Ending::of(&handle, order) => ending,
        error = play_the_people(&handle, order) => Err(error.into()),
    }
}

/// Returns only errors. When everything is sent, it waits until it is dropped.
async fn play_the_people(handle: &Handle<OrderWorkflow>, order: &Order) -> abide::Error {
    let said = async {
        if let Some(granted) = desk_answer(order) {
            wait_until(handle, Status::AwaitingApproval).await?;
            handle.decide(granted).request_id(format!("decide {}", order.id)).await?;
        }
        match order.hold {
            None => {}
            Some(Hold::Released) => {
                wait_until(handle, Status::OnHold).await?;
                handle.release().request_id(format!("release {}", order.id)).await?;
            }
            Some(Hold::Cancelled) => {
                wait_until(handle, Status::OnHold).await?;
                let cancel = handle.cancel("the customer changed their mind");
                cancel.request_id(format!("cancel {}", order.id)).await?;
            }
        }
        Ok(())
    };
    match said.await {
        // AB0407: the order is closed, so everything was sent in an earlier run of this program.
        Ok(()) => std::future::pending().await,
        Err(abide::Error::ExecutionClosed { .. }) => std::future::pending().await,
        Err(error) => error,
    }
}

fn desk_answer(order: &Order) -> Option<bool> {
    match order.approval? {
        Approval::Granted => Some(true),
        Approval::Refused => Some(false),
        Approval::NeverAnswered => None,
    }
}

/// Queries the order's status until it is `status` or later.
async fn wait_until(handle: &Handle<OrderWorkflow>, status: Status) -> abide::Result<()> {
    while handle.status().await? < status {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
