//! The committed tables, as plain data. The columns are those of `postgres/schema.rs`.
//!
//! Ordered maps only, so that iterations have the same order in every run of a simulation.

use super::write::{Limit, TaskRow, Write};
use crate::status::ExecutionStatus;
use crate::store::{
    AttemptRow, ChildOf, ExecutionRow, InboxRow, Reply, ScheduleRow, StoredTurn, StreamRow, WorkerInfo,
};
use abide_core::{EventId, ExecutionId, Incarnation};
use std::collections::{BTreeMap, BTreeSet};

/// An execution's row.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    /// What readers get; its `history_len` is counted when it is read.
    pub(crate) row: ExecutionRow,
    /// The user's request id; without one, the run id.
    pub(crate) request_id: Option<String>,
    /// Builds that have failed. Each other build may try. `None`: none may.
    pub(crate) tried_builds: Option<Vec<String>>,
    /// Builds that have claimed it since the last failure, and may not claim it again.
    pub(crate) trying_builds: Vec<String>,
    /// Whose child it is.
    pub(crate) child: Option<ChildOf>,
    /// It is closed, and children are still to be told so.
    pub(crate) orphans: bool,
}

/// A worker's row.
#[derive(Clone, Debug)]
pub(crate) struct Worker {
    pub(crate) id: Incarnation,
    pub(crate) info: WorkerInfo,
    /// Its process; `None`: unknown.
    pub(crate) process: Option<ProcessId>,
}

/// A process as the operating system of its machine knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pub(crate) machine: u32,
    pub(crate) process: u32,
}

/// A worker's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) until_ms: i64,
    pub(crate) renewed_ms: i64,
    /// The run of the server at which it was renewed.
    pub(crate) server: u32,
}

/// A stream's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) next_seq: i64,
    /// Of all items ever.
    pub(crate) bytes: i64,
}

/// An item's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamItem {
    pub(crate) row: StreamRow,
    /// The bytes of the stream before it.
    pub(crate) begins: i64,
}

/// A stream's key.
pub(crate) type StreamName = (ExecutionId, String);

/// All that is committed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    pub(crate) executions: BTreeMap<ExecutionId, Execution>,
    /// By execution and first event.
    pub(crate) journal: BTreeMap<(ExecutionId, EventId), StoredTurn>,
    /// By id: the order in which they were sent.
    pub(crate) inbox: BTreeMap<i64, InboxRow>,
    /// Those of them that are parked (PROTOCOL 97).
    pub(crate) parked: BTreeSet<i64>,
    pub(crate) workers: BTreeMap<Incarnation, Worker>,
    pub(crate) leases: BTreeMap<Incarnation, Lease>,
    /// By execution and activity.
    pub(crate) tasks: BTreeMap<(ExecutionId, EventId), TaskRow>,
    /// The last failed attempt of each activity that is tried again, by execution and activity.
    pub(crate) attempts: BTreeMap<(ExecutionId, EventId), AttemptRow>,
    pub(crate) replies: BTreeMap<String, Reply>,
    /// By id.
    pub(crate) schedules: BTreeMap<String, ScheduleRow>,
    pub(crate) streams: BTreeMap<StreamName, Stream>,
    /// By stream and number.
    pub(crate) stream_items: BTreeMap<(StreamName, i64), StreamItem>,
    /// The limits of task queues, by queue and key.
    pub(crate) limits: BTreeMap<(String, String), Limit>,
    /// The indexes: whose inbox a row is in, and names of executions, which never change.
    by_receiver: BTreeSet<(ExecutionId, i64)>,
    by_workflow_id: BTreeMap<String, BTreeSet<ExecutionId>>,
    by_run_id: BTreeMap<String, ExecutionId>,
    by_request_id: BTreeMap<String, ExecutionId>,
}

impl Tables {
    /// Makes one change.
    pub(super) fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::Execution(execution) => {
                let id = execution.row.id;
                if !self.executions.contains_key(&id) {
                    self.name(&execution);
                }
                self.executions.insert(id, *execution);
            }
            Write::Turn(execution, turn) => drop(self.journal.insert((execution, turn.seq), turn)),
            Write::Message(row) => {
                self.by_receiver.insert((row.execution, row.id));
                self.inbox.insert(row.id, row);
            }
            Write::MessageGone(id) => {
                self.parked.remove(&id);
                if let Some(row) = self.inbox.remove(&id) {
                    self.by_receiver.remove(&(row.execution, id));
                }
            }
            Write::Moved(id, to) => {
                if let Some(row) = self.inbox.get_mut(&id) {
                    self.by_receiver.remove(&(row.execution, id));
                    row.execution = to;
                    self.by_receiver.insert((to, id));
                }
            }
            Write::Parked(id) => drop(self.parked.insert(id)),
            Write::Unparked(id) => drop(self.parked.remove(&id)),
            Write::Worker(worker) => drop(self.workers.insert(worker.id, worker)),
            Write::WorkerGone(id) => drop(self.workers.remove(&id)),
            Write::Lease(id, lease) => drop(self.leases.insert(id, lease)),
            Write::LeaseGone(id) => drop(self.leases.remove(&id)),
            Write::Task(row) => drop(self.tasks.insert((row.execution, row.task.activity), *row)),
            Write::TaskGone(execution, activity) => drop(self.tasks.remove(&(execution, activity))),
            Write::Attempt(execution, row) => drop(self.attempts.insert((execution, row.activity), row)),
            Write::AttemptGone(execution, activity) => drop(self.attempts.remove(&(execution, activity))),
            Write::Reply(reply) => drop(self.replies.insert(reply.request_id.clone(), reply)),
            Write::ReplyGone(request_id) => drop(self.replies.remove(&request_id)),
            Write::Schedule(row) => drop(self.schedules.insert(row.id.clone(), *row)),
            Write::ScheduleGone(id) => drop(self.schedules.remove(&id)),
            Write::Stream(of, stream) => drop(self.streams.insert(of, stream)),
            Write::StreamItem(of, item) => drop(self.stream_items.insert((of, item.row.seq), *item)),
            Write::StreamItemGone(of, seq) => drop(self.stream_items.remove(&(of, seq))),
            Write::Limit(queue, key, limit) => drop(self.limits.insert((queue, key), limit)),
            Write::LimitGone(queue, key) => drop(self.limits.remove(&(queue, key))),
        }
    }

    fn name(&mut self, execution: &Execution) {
        let row = &execution.row;
        self.by_workflow_id.entry(row.workflow_id.clone()).or_default().insert(row.id);
        self.by_run_id.insert(row.run_id.clone(), row.id);
        if let Some(request_id) = &execution.request_id {
            self.by_request_id.insert(request_id.clone(), row.id);
        }
    }

    /// A copy with these changes: what the transaction that has made them sees.
    pub(super) fn with(&self, writes: &[Write]) -> Self {
        let mut copy = self.clone();
        writes.iter().for_each(|write| copy.apply(write));
        copy
    }

    /// An execution's journal, oldest first.
    pub(crate) fn turns(&self, id: ExecutionId) -> impl DoubleEndedIterator<Item = &StoredTurn> {
        self.journal.range((id, EventId(0))..=(id, EventId(u64::MAX))).map(|(_, turn)| turn)
    }

    /// The number of an execution's last event.
    pub(crate) fn history_len(&self, id: ExecutionId) -> u64 {
        self.turns(id).next_back().map_or(0, |turn| turn.seq.0 + u64::from(turn.n) - 1)
    }

    /// A row as readers get it.
    pub(crate) fn read(&self, execution: &Execution) -> ExecutionRow {
        ExecutionRow { history_len: self.history_len(execution.row.id), ..execution.row.clone() }
    }

    /// All runs of a workflow id.
    pub(crate) fn runs(&self, workflow_id: &str) -> impl Iterator<Item = &Execution> {
        let ids = self.by_workflow_id.get(workflow_id).into_iter().flatten();
        ids.filter_map(|id| self.executions.get(id))
    }

    /// The open run of a workflow id.
    pub(crate) fn open_run(&self, workflow_id: &str) -> Option<&Execution> {
        self.runs(workflow_id).find(|run| run.row.status.is_open())
    }

    /// The open children of a run, in order.
    pub(crate) fn children_of(&self, parent: ExecutionId) -> impl Iterator<Item = &Execution> {
        let is_its = move |run: &&Execution| run.child.is_some_and(|child| child.parent == parent);
        self.executions.values().filter(|run| run.row.status.is_open()).filter(is_its)
    }

    /// Whether a run has an open child with a close policy.
    pub(crate) fn has_bound_child(&self, parent: ExecutionId) -> bool {
        self.children_of(parent).any(|run| run.child.is_some_and(|child| child.close_policy > 0))
    }

    /// The newest closed run of a workflow id.
    pub(crate) fn newest_closed(&self, workflow_id: &str) -> Option<&Execution> {
        let closed = self.runs(workflow_id).filter(|run| !run.row.status.is_open());
        closed.max_by_key(|run| (run.row.created_at_ms, run.row.id))
    }

    /// By its run id.
    pub(crate) fn of_run_id(&self, run_id: &str) -> Option<&Execution> {
        self.executions.get(self.by_run_id.get(run_id)?)
    }

    /// By its request id.
    pub(crate) fn of_request_id(&self, request_id: &str) -> Option<&Execution> {
        self.executions.get(self.by_request_id.get(request_id)?)
    }

    /// What an execution's inbox holds, in the order in which it was sent.
    pub(crate) fn inbox_of(&self, id: ExecutionId) -> impl Iterator<Item = &InboxRow> {
        let rows = self.by_receiver.range((id, i64::MIN)..=(id, i64::MAX));
        rows.filter_map(|(_, message)| self.inbox.get(message))
    }

    /// The messages that claims and drains read, in the order in which they were sent.
    pub(crate) fn unparked(&self) -> impl Iterator<Item = &InboxRow> {
        self.inbox.values().filter(|row| !self.parked.contains(&row.id))
    }

    /// An execution that can still run.
    pub(crate) fn open(&self, id: ExecutionId) -> Option<&Execution> {
        self.executions.get(&id).filter(|execution| execution.row.status.is_open())
    }

    /// The tasks of an execution.
    pub(crate) fn tasks_of(&self, id: ExecutionId) -> impl Iterator<Item = &TaskRow> {
        self.tasks.range((id, EventId(0))..=(id, EventId(u64::MAX))).map(|(_, row)| row)
    }

    /// The failed attempts of an execution.
    pub(crate) fn attempts_of(&self, id: ExecutionId) -> impl Iterator<Item = &AttemptRow> {
        self.attempts.range((id, EventId(0))..=(id, EventId(u64::MAX))).map(|(_, row)| row)
    }

    /// The items of a stream with a number above `after`, oldest first.
    pub(crate) fn items_of(&self, of: &StreamName, after: i64) -> impl Iterator<Item = &StreamItem> {
        let numbers = (of.clone(), after.saturating_add(1))..=(of.clone(), i64::MAX);
        self.stream_items.range(numbers).map(|(_, item)| item)
    }

    /// Whether the inbox makes an unowned execution claimable.
    pub(crate) fn has_mail(&self, id: ExecutionId) -> bool {
        self.inbox_of(id).any(|row| row.kind.is_known() && !self.parked.contains(&row.id))
    }
}

impl Execution {
    /// Whether it has no owner and is neither suspended nor closed.
    pub(super) fn is_free(&self) -> bool {
        self.row.owner.is_none() && self.row.status == ExecutionStatus::Running
    }
}
