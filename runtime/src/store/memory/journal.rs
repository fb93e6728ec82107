//! Turns are queued for the writer, and read by one statement each.

use super::store::MemoryStore;
use super::write::TaskRow;
use crate::store::{Ack, Append, Journal, StoreError, StoreFuture, StoredRun, StoredTurn, joined};
use abide_core::ExecutionId;

impl Journal for MemoryStore {
    fn submit(&self, append: Append, ack: Ack) {
        self.shared.queue.append(append, ack);
        self.shared.wake.notify_one();
    }

    fn execution_id(&self) -> ExecutionId {
        self.shared.execution_id()
    }

    fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }

    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>> {
        Box::pin(async move {
            let turns =
                self.seen("journal", move |st| st.tables.turns(execution).cloned().collect::<Vec<_>>());
            joined(turns.await?).map_err(|message| StoreError::Damaged { execution, message })
        })
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>> {
        Box::pin(self.seen("load", move |st| {
            let row = st.tables.read(st.tables.executions.get(&execution)?);
            let journal = joined(st.tables.turns(execution).cloned().collect());
            let attempts = st.tables.attempts_of(execution).cloned().collect();
            Some(StoredRun {
                row,
                journal,
                attempts,
                inbox: st.tables.inbox_of(execution).cloned().collect(),
                beats: st.tables.tasks_of(execution).filter_map(TaskRow::last_beat).collect(),
            })
        }))
    }
}
