//! Parked messages: given back, and corrected (PROTOCOL 97). The statements of `postgres/sweep.rs`.

use super::limit::forget;
use super::locks::{Key, Mode};
use super::reports;
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::write::Write;
use crate::store::decide::parks;
use crate::store::{InboxRow, Orphans, SWEEP_AT_ONCE, StoreFuture, Sweep};
use abide_core::ExecutionId;

fn key(row: &InboxRow) -> Key {
    Key::Message(row.execution, row.kind, row.request_id.clone())
}

/// Gives the parked messages of this execution back: a statement of its own, after the one that has changed its status.
pub(super) fn unpark(st: &mut Statement<'_>, id: ExecutionId) -> Looked<()> {
    let tables = st.tables;
    for row in tables.inbox_of(id).filter(|row| tables.parked.contains(&row.id)) {
        st.lock(key(row), Mode::NoKeyUpdate)?;
        st.write(Write::Unparked(row.id));
    }
    Ok(())
}

/// Parks what a run that was suspended since has not read. The lock of a sender keeps the execution as it is meanwhile.
fn park(st: &mut Statement<'_>) -> Looked<u64> {
    let (tables, mut parked) = (st.tables, 0);
    let wrong = tables.unparked().filter(|row| {
        let to = tables.executions.get(&row.execution);
        to.is_some_and(|to| parks(to.row.status, row.kind))
    });
    for row in wrong.take(SWEEP_AT_ONCE as usize) {
        let held = st.try_lock(Key::Execution(row.execution), Mode::KeyShare);
        if held && st.try_lock(key(row), Mode::NoKeyUpdate) {
            st.write(Write::Parked(row.id));
            parked += 1;
        }
    }
    Ok(parked)
}

/// Gives back what a run that goes on has not read.
fn give_back(st: &mut Statement<'_>) -> Looked<u64> {
    let (tables, mut given) = (st.tables, 0);
    let wrong = tables.parked.iter().filter_map(|id| tables.inbox.get(id)).filter(|row| {
        let to = tables.executions.get(&row.execution);
        to.is_some_and(|to| !parks(to.row.status, row.kind))
    });
    for row in wrong.take(SWEEP_AT_ONCE as usize) {
        if st.try_lock(key(row), Mode::NoKeyUpdate) {
            st.write(Write::Unparked(row.id));
            given += 1;
        }
    }
    Ok(given)
}

impl Sweep for MemoryStore {
    fn sweep(&self) -> StoreFuture<'_, u64> {
        Box::pin(async move {
            self.once("sweep", move |session| {
                Box::pin(async move {
                    session.run(reports::sweep).await?;
                    let parked = session.run(park).await?.max(session.run(give_back).await?);
                    Ok(parked.max(session.run(forget).await?))
                })
            })
            .await
        })
    }

    fn tell_orphans(&self) -> StoreFuture<'_, Orphans> {
        self.orphans()
    }
}
