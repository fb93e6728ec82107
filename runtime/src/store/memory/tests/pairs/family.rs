//! The family of the stage: as `postgres/permutations/family.rs` and `scene.rs` have it.

use super::*;
use crate::store::memory::family::{forget, tell};

impl Stage {
    /// A child of the owned run that ends with it.
    pub(super) fn new_child(&self) -> NewChild {
        let child = orphans::child(&self.process, self.owned, 1, ParentClosePolicy::Terminate);
        NewChild { id: self.child, owner: Some(self.process.me), ..child }
    }

    /// One is suspended, with its time up or told to terminate where an operation ends it. The owned run gets its
    /// parent, which has closed but where an operation closes it.
    pub(super) async fn stand(&self, ops: [&str; 2]) {
        let (suspended, parent, owned) = (self.suspended, self.parent, self.owned);
        let [late, told, open] = ["EndByTimeout", "EndByMessage", "CloseParent"].map(|op| ops.contains(&op));
        self.alone(move |st| {
            let mut stopped = st.tables.executions[&suspended].clone();
            (stopped.row.status, stopped.row.wake_at_ms) = (ExecutionStatus::Suspended, None);
            stopped.row.close_by_ms = late.then_some(1);
            stopped.tried_builds = Some(vec!["b0".to_owned()]);
            st.update(stopped)?;
            if told {
                st.put(suspended, MessageKind::Terminate, "end", "{}".to_owned(), 1)?;
            }
            if !open {
                let mut closed = st.tables.executions[&parent].clone();
                (closed.row.status, closed.row.owner) = (ExecutionStatus::Completed, None);
                (closed.row.wake_at_ms, closed.row.closed_at_ms, closed.orphans) = (None, Some(1), true);
                st.update(closed)?;
            }
            let mut child = st.tables.executions[&owned].clone();
            child.child = Some(ChildOf { parent, child_no: EventId(2), close_policy: 1 });
            st.update(child)
        })
        .await;
    }

    /// Tells the children of the closed parent, and takes its mark away.
    pub(super) async fn slice(&self, session: &mut Session, now: i64) -> Result<String, Failure> {
        let parent = self.parent;
        if !session.run(|st| Ok(st.tables.executions[&parent].orphans)).await? {
            return Ok(of(false));
        }
        let told = session.run(|st| tell(st, parent, now)).await?.len();
        session.run(|st| forget(st, parent)).await?;
        Ok(of(told > 0))
    }
}
