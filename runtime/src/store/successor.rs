//! The run that goes on for a run that closes (PROTOCOL 59, 66).
//!
//! It has the workflow id of the run before it, and inherits from that run's row what else belongs to the chain:
//! chain, parent, schedule, the chain's time limit. The statement that closes reads them (PROTOCOL 39), never the
//! writer's memory.

use abide_core::ExecutionId;

/// A successor, as the append of its predecessor brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Successor {
    /// From [`Store::execution_id`](super::Store::execution_id).
    pub(crate) id: ExecutionId,
    /// The workflow id of both: its lock is taken before the batch (PROTOCOL 37).
    pub(crate) workflow_id: String,
    /// A fresh UUIDv7.
    pub(crate) run_id: String,
    /// The workflow's registered name.
    pub(crate) workflow_type: String,
    /// The task queue.
    pub(crate) queue: String,
    /// The arguments, JSON.
    pub(crate) input: String,
    /// What it begins with besides its input, JSON.
    pub(crate) context: Option<String>,
    /// Whether the append's owner has it. Else any worker claims it when it is due.
    pub(crate) owned: bool,
    /// When it is due.
    pub(crate) due_ms: i64,
    /// Now, on the store's clock.
    pub(crate) created_at_ms: i64,
    /// Which attempt of the workflow it is, if the workflow is retried as a whole; from 1.
    pub(crate) attempt: u32,
    /// Its own time limit. The chain's may come before it.
    pub(crate) close_by_ms: Option<i64>,
}

impl Successor {
    /// How many bytes of text it has.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.workflow_id, &self.run_id, &self.workflow_type, &self.queue, &self.input];
        texts.into_iter().chain(&self.context).map(String::len).sum()
    }
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;

    /// A successor of this id that is due at once.
    pub(in crate::store) fn successor(id: i64) -> Successor {
        Successor {
            id: ExecutionId(id),
            workflow_id: "order-1".to_owned(),
            run_id: format!("r{id}"),
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            input: "[]".to_owned(),
            context: None,
            owned: false,
            due_ms: 100,
            created_at_ms: 100,
            attempt: 1,
            close_by_ms: None,
        }
    }
}
