//! An activity over many items that tells by heartbeats how far it is, and notes each item.

use crate::ledger::Ledger;
use crate::workflows::FARM;
use abide::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Adds `from <attempt> <items that are done>` as an attempt begins, and `item <attempt> <number>` for each item.
pub(crate) struct Items(Ledger);

impl Items {
    pub(crate) fn new(path: &Path) -> Self {
        Self(Ledger::open(path).expect("the ledger opens"))
    }
}

#[activity]
impl Items {
    #[activity(heartbeat_timeout = "2s", retry(initial_interval = "10ms"))]
    pub(crate) async fn each(&self, of: u64, ms: u64) -> Result<u64, Failure> {
        let context = abide::activity::context();
        let mut done = context.last_heartbeat::<u64>().unwrap_or(0);
        self.0.add(&format!("from {} {done}", context.attempt()));
        while done < of {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            self.0.add(&format!("item {} {done}", context.attempt()));
            done += 1;
            context.heartbeat(&done)?;
        }
        Ok(done)
    }
}

/// All items, in the workflow's worker or far away.
#[workflow]
pub(crate) async fn items(of: u64, ms: u64, far: bool) -> Result<u64, Failure> {
    let each = Items::each(of, ms);
    Ok(if far { each.task_queue(FARM).await? } else { each.await? })
}
