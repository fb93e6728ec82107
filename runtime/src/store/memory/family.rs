//! What a close means for a run's children, and an end from outside for its parent (PROTOCOL 54, 55). The statements of
//! `postgres/family.rs`.

use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use crate::store::decide::{Notify, PARENT_CLOSED, PARENT_CLOSED_BODY, Receiver, SLICE};
use crate::store::{MessageKind, Orphans, StoreFuture};
use abide_core::ExecutionId;

/// Sends a report to the open parent of a run that closes, which takes no lock on the parent. Who was told.
pub(super) fn report(
    st: &mut Statement<'_>,
    id: ExecutionId,
    end: &str,
    at_ms: i64,
) -> Looked<Option<Receiver>> {
    let Some(child) = st.tables.executions.get(&id).and_then(|run| run.child) else { return Ok(None) };
    let (parent, no) = (child.parent, child.child_no);
    let Some(to) = st.tables.open(parent) else { return Ok(None) };
    let body = format!("{{\"child\":{no},\"end\":{end}}}");
    let told = st.put(parent, MessageKind::ChildEnded, &format!("child/{no}"), body, at_ms)?;
    Ok(told.then(|| Receiver { owner: to.row.owner, queue: to.row.queue.clone() }))
}

/// One slice of the children of a run; whom it concerns.
pub(super) fn tell(st: &mut Statement<'_>, run: ExecutionId, now: i64) -> Looked<Vec<Receiver>> {
    let tables = st.tables;
    let bound = tables.children_of(run).filter(|run| run.child.is_some_and(|child| child.close_policy > 0));
    let mut told = Vec::new();
    for child in bound.take(SLICE as usize) {
        let id = child.row.id;
        if !st.try_lock(Key::Execution(id), Mode::NoKeyUpdate) {
            continue;
        }
        let mut child = child.clone();
        let policy = child.child.as_mut().map(|child| std::mem::take(&mut child.close_policy));
        let kind = if policy == Some(2) { MessageKind::Terminate } else { MessageKind::Cancel };
        st.put(id, kind, PARENT_CLOSED, PARENT_CLOSED_BODY.to_owned(), now)?;
        told.push(Receiver { owner: child.row.owner, queue: child.row.queue.clone() });
        st.update(child)?;
    }
    Ok(told)
}

/// Takes the mark from a run that has no open child with a policy any more. Whether it had none.
pub(super) fn forget(st: &mut Statement<'_>, run: ExecutionId) -> Looked<bool> {
    let left = st.tables.has_bound_child(run) && !mutant!(ClearOrphansEarly);
    if let Some(mut closed) = st.tables.executions.get(&run).cloned().filter(|_| !left) {
        closed.orphans = false;
        st.update(closed)?;
    }
    Ok(!left)
}

/// One slice for each of some runs. Each statement is a transaction of its own.
async fn tell_all(session: &mut Session, now: i64) -> Result<(Orphans, Vec<Receiver>), Failure> {
    let (mut orphans, mut concerned) = (Orphans::default(), Vec::new());
    let marked = |st: &mut Statement<'_>| {
        let marked = st.tables.executions.values().filter(|run| run.orphans);
        Ok(marked.take(SLICE as usize).map(|run| run.row.id).collect::<Vec<_>>())
    };
    for run in session.run(marked).await? {
        let told = session.run(|st| tell(st, run, now)).await?;
        orphans.told += told.len() as u64;
        concerned.extend(told);
        orphans.left += u64::from(!session.run(|st| forget(st, run)).await?);
    }
    Ok((orphans, concerned))
}

impl MemoryStore {
    /// See [`Sweep::tell_orphans`](crate::store::Sweep::tell_orphans).
    pub(super) fn orphans(&self) -> StoreFuture<'_, Orphans> {
        let now = self.shared.now_ms();
        Box::pin(async move {
            let told = self
                .once("tell_orphans", move |session| Box::pin(async move { tell_all(session, now).await }));
            let (orphans, concerned) = told.await?;
            concerned.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            if orphans.told > 0 {
                // Any worker may end a run that has no owner.
                self.shared.notify_workers();
            }
            Ok(orphans)
        })
    }
}
