//! Finding executions: by name and by filter.

use super::error::StoreFuture;
use super::execution::ExecutionRow;
use crate::status::ExecutionStatus;
use abide_core::ExecutionId;

/// A name of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Find {
    /// Its key.
    Execution(ExecutionId),
    /// The newest run of a workflow id: the open one if there is one.
    WorkflowId(String),
    /// The newest run of the chain that begins with this run.
    Chain(ExecutionId),
    /// The run that the run `of` of this chain goes on for.
    Before { chain: ExecutionId, of: ExecutionId },
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

/// A page of executions, newest first: ordered by run id, which begins with the time of the start. Execution
/// ids do not order them, since each process takes its ids from its own blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The rows.
    pub(crate) rows: Vec<ExecutionRow>,
    /// The run id after which the next page begins; `None` on the last.
    pub(crate) next: Option<String>,
}

impl Filter {
    /// The most rows of a page.
    pub(crate) fn page_len(&self) -> usize {
        match self.limit {
            0 => 100,
            limit => limit.min(1_000) as usize,
        }
    }
}

impl Page {
    /// Of rows newest first, one more than a page has where there are more.
    pub(crate) fn of(mut rows: Vec<ExecutionRow>, len: usize) -> Self {
        let more = rows.len() > len;
        rows.truncate(len);
        let next = if more { rows.last().map(|row| row.run_id.clone()) } else { None };
        Self { rows, next }
    }
}

/// Looking executions up.
pub(crate) trait Lookup: Send + Sync {
    /// One execution, by any of its names.
    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>>;

    /// Executions, newest first, a page at a time.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page>;
}
