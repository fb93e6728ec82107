//! Looking things up: by name, by filter, and all of a run.

use super::attempt::AttemptRow;
use super::execution::ExecutionRow;
use super::journal::StoredTurn;
use super::message::InboxRow;
use crate::status::ExecutionStatus;
use abide_core::ExecutionId;

/// A name of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// Its key.
    Execution(ExecutionId),
    /// The newest run of a workflow id: the open one if there is one.
    WorkflowId(String),
}

/// Which executions to list. `Default`: all, 100 a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Any of these; empty: any.
    pub(crate) statuses: Vec<ExecutionStatus>,
    /// This workflow type.
    pub(crate) workflow_type: Option<String>,
    /// This task queue.
    pub(crate) queue: Option<String>,
    /// Workflow ids that begin with this.
    pub(crate) id_prefix: Option<String>,
    /// Rows a page; 0 means 100; never more than 1,000.
    pub(crate) limit: u32,
    /// [`Page::next`] of the page before.
    pub(crate) after: Option<String>,
}

/// A page of executions, newest first: by run id, which begins with the time of its start. Ids of executions are blocks of
/// a process, and say nothing about those of another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The rows.
    pub(crate) rows: Vec<ExecutionRow>,
    /// The run id after which the next page begins; `None` on the last.
    pub(crate) next: Option<String>,
}

/// All that is stored of one run, as of one moment (PROTOCOL 34).
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    /// Its row.
    pub(crate) row: ExecutionRow,
    /// Its journal, oldest first; or why it is damaged.
    pub(crate) journal: Result<Vec<StoredTurn>, String>,
    /// The last failed attempts of its open activities, by activity (PROTOCOL 4).
    pub(crate) attempts: Vec<AttemptRow>,
    /// Its inbox, in the order in which it was sent.
    pub(crate) inbox: Vec<InboxRow>,
}
