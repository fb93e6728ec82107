//! Looking things up: by name, by filter, and the journal.

use super::attempt::AttemptRow;
use super::execution::{ExecutionRow, Status};
use super::message::InboxRow;
use abide_core::{EventId, ExecutionId, Incarnation};

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
    pub(crate) statuses: Vec<Status>,
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

/// One journal row, undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredTurn {
    /// The number of its first event.
    pub(crate) seq: EventId,
    /// How many events.
    pub(crate) n: u32,
    /// When the turn was polled.
    pub(crate) at_ms: i64,
    /// The incarnation that wrote it; 0 for the store itself (a terminate).
    pub(crate) writer: Incarnation,
    /// The events, a JSON array.
    pub(crate) body: String,
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

/// Checks that the rows of a journal, oldest first, join up.
///
/// # Errors
/// Which event is missing.
pub(crate) fn joined(turns: Vec<StoredTurn>) -> Result<Vec<StoredTurn>, String> {
    let mut next = 1;
    for StoredTurn { seq, n, .. } in &turns {
        if seq.0 != next || *n < 1 {
            return Err(format!(
                "event {next} should come next, the row found begins at {seq} with {n} events"
            ));
        }
        next += u64::from(*n);
    }
    Ok(turns)
}
