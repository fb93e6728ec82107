//! Children: the runs that an append inserts for its own run (PROTOCOL 51).

use super::dispatch::Address;
use abide_core::{EventId, ExecutionId, Incarnation, ParentClosePolicy};
use serde::Serialize;

/// A child to be inserted: open, due at once. As the statements read it, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NewChild {
    /// Lent to the run that starts it.
    pub(crate) id: ExecutionId,
    /// Its name.
    pub(crate) workflow_id: String,
    /// Lent as well.
    pub(crate) run_id: String,
    /// The name, if the code gave it: it may be taken, and the parent waits for an answer. `None` once it is known to
    /// be free.
    #[serde(skip)]
    pub(crate) name: Option<Address>,
    /// The workflow's registered name.
    #[serde(rename = "type")]
    pub(crate) workflow_type: String,
    /// The task queue.
    pub(crate) queue: String,
    /// The worker that owns it from its birth: that of its parent, if it serves such runs. `None`: a worker claims it.
    pub(crate) owner: Option<Incarnation>,
    /// The arguments, JSON.
    pub(crate) input: String,
    /// Its `StartContext`, JSON.
    pub(crate) context: String,
    /// The run that starts it.
    pub(crate) parent: ExecutionId,
    /// The command in the parent's history.
    pub(crate) child_no: EventId,
    /// What happens when the parent closes: see [`close_policy`].
    pub(crate) close_policy: i16,
    /// When its time is up.
    pub(crate) close_by: Option<i64>,
    /// When the time of its chain is up.
    pub(crate) chain_by: Option<i64>,
    /// Now, on the store's clock.
    pub(crate) created_at: i64,
    /// Whether the append starts the parent too: without the parent, the child is not inserted.
    pub(crate) starts: bool,
}

/// The number of a policy in the rows: 0 nothing, 1 cancel, 2 terminate.
pub(crate) fn close_policy(policy: ParentClosePolicy) -> i16 {
    match policy {
        ParentClosePolicy::Abandon => 0,
        ParentClosePolicy::RequestCancel => 1,
        // The default, and what a later release may add.
        _ => 2,
    }
}

impl NewChild {
    /// How many bytes of text it brings.
    pub(crate) fn bytes(&self) -> usize {
        let texts =
            [&self.workflow_id, &self.run_id, &self.workflow_type, &self.queue, &self.input, &self.context];
        texts.into_iter().map(String::len).sum()
    }

    /// As the statements read it.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always encode")
    }
}

/// What tells a child from other runs: whose it is.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChildOf {
    pub(crate) parent: ExecutionId,
    pub(crate) child_no: EventId,
    pub(crate) close_policy: i16,
}
