//! Rows of tasks: which of them may be claimed, and how a claim takes them.

use super::locks::Key;
use super::statement::Statement;
use super::write::{TaskRow, Write};
use crate::store::{Task, TaskKey};
use abide_core::Incarnation;

impl TaskRow {
    pub(super) fn key(&self) -> TaskKey {
        TaskKey {
            execution: self.execution,
            activity: self.task.activity,
            attempt: self.task.attempt,
            nonce: self.nonce,
        }
    }

    /// The key of its row.
    pub(super) fn row(&self) -> Key {
        Key::Task(self.execution, self.task.activity)
    }

    /// No worker runs it, and others may.
    pub(super) fn is_free(&self) -> bool {
        self.owner.is_none() && !self.handed && self.task.queue.is_some()
    }

    /// The task queue in which its end makes room.
    pub(super) fn frees(&self) -> Option<String> {
        let counts = (self.owner.is_some() || self.handed) && !self.task.place.limit_key.is_empty();
        self.task.queue.clone().filter(|_| counts)
    }

    /// Waits for a worker of this queue.
    pub(super) fn waits_in(&self, queue: &str) -> bool {
        self.owner.is_none() && !self.handed && self.task.queue.as_deref() == Some(queue)
    }

    /// Has a limit or a key.
    pub(super) fn is_keyed(&self) -> bool {
        !self.task.place.limit_key.is_empty() || !self.task.place.fair_key.is_empty()
    }
}

/// Whether its time limits let it begin now.
pub(super) fn in_time(row: &TaskRow, now: i64) -> bool {
    let in_time = |until: Option<i64>| until.is_none_or(|until| until > now);
    in_time(row.task.start_by_ms) && in_time(row.task.close_by_ms)
}

/// Takes rows that are locked, if the claimant has its lease.
pub(super) fn take_rows(st: &mut Statement<'_>, owner: Incarnation, chosen: Vec<&TaskRow>) -> Vec<Task> {
    let tables = st.tables;
    if chosen.is_empty() || !st.try_fence(owner) {
        return Vec::new();
    }
    let chosen: Vec<TaskRow> = chosen
        .into_iter()
        .map(|row| TaskRow { owner: Some(owner), nonce: st.new_nonce(), ..row.clone() })
        .collect();
    for row in &chosen {
        st.write(Write::Task(Box::new(row.clone())));
    }
    let task = |row: &TaskRow| {
        let of = &tables.executions.get(&row.execution)?.row;
        Some(Task {
            key: row.key(),
            name: row.task.name.clone(),
            input: row.task.input.clone(),
            limits: row.task.limits.clone(),
            run_at_ms: row.task.run_at_ms,
            close_by_ms: row.task.close_by_ms,
            workflow_id: of.workflow_id.clone(),
            run_id: of.run_id.clone(),
            workflow_type: of.workflow_type.clone(),
            details: row.task.details.clone(),
        })
    };
    chosen.iter().filter_map(task).collect()
}
