//! Lists executions: takes a filter, returns a page.

use super::Client;
use super::time::timestamp;
use super::wait::closing_event;
use crate::error::Result;
use crate::outcome::Reason;
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Filter, Page};
use abide_core::Event;
use jiff::Timestamp;

impl Client {
    /// Lists executions, newest first, one page at a time.
    ///
    /// ```
    /// # async fn demo(client: abide::Client) -> abide::Result<()> {
    /// use abide::{ExecutionStatus, ListFilter};
    /// let page = client.list(ListFilter::new().status(ExecutionStatus::Suspended)).await?;
    /// for execution in &page.executions {
    ///     println!("{} {}", execution.workflow_id, execution.status);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(&self, filter: ListFilter) -> Result<ExecutionPage> {
        let page = self.abide.store().list(filter.filter).await?;
        Ok(ExecutionPage::of(page))
    }
}

/// Which executions to list. Default: all, 100 per page.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ListFilter {
    filter: Filter,
}

impl ListFilter {
    /// A filter that matches all executions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Matches executions with this status. If it is called again, it matches any of the given statuses.
    pub fn status(mut self, status: ExecutionStatus) -> Self {
        self.filter.statuses.push(status);
        self
    }

    /// Matches executions of this workflow type.
    pub fn workflow_type(mut self, name: impl AsRef<str>) -> Self {
        self.filter.workflow_type = Some(name.as_ref().to_owned());
        self
    }

    /// Matches executions of this task queue.
    pub fn task_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.filter.queue = Some(queue.as_ref().to_owned());
        self
    }

    /// Matches executions whose workflow id begins with this prefix.
    pub fn id_prefix(mut self, prefix: impl AsRef<str>) -> Self {
        self.filter.id_prefix = Some(prefix.as_ref().to_owned());
        self
    }

    /// How many executions a page holds, 1 to 1,000. Default: 100.
    pub fn limit(mut self, limit: u32) -> Self {
        self.filter.limit = limit.clamp(1, 1_000);
        self
    }

    /// Continues where a page ended: its [`ExecutionPage::next`].
    pub fn after(mut self, cursor: ListCursor) -> Self {
        self.filter.after = Some(cursor.0);
        self
    }
}

/// The position where a page ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListCursor(String);

/// A page of executions, newest first: ordered by their start, on the database's clock, whichever process
/// started them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutionPage {
    /// The executions.
    pub executions: Vec<ExecutionSummary>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<ListCursor>,
}

impl ExecutionPage {
    fn of(page: Page) -> Self {
        let executions = page.rows.into_iter().map(ExecutionSummary::of).collect();
        Self { executions, next: page.next.map(ListCursor) }
    }
}

/// One execution in a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutionSummary {
    /// The workflow id.
    pub workflow_id: String,
    /// The run id.
    pub run_id: String,
    /// The name of the workflow type.
    pub workflow_type: String,
    /// The task queue whose workers run it.
    pub task_queue: String,
    /// Its status.
    pub status: ExecutionStatus,
    /// Why it is suspended, if it is.
    pub suspension: Option<Reason>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
    /// The run id of the run that goes on for it, if it has continued as new.
    pub next_run_id: Option<String>,
}

impl ExecutionSummary {
    fn of(row: ExecutionRow) -> Self {
        let status = row.status;
        let suspended = status == ExecutionStatus::Suspended;
        let close = row.next.and_then(|_| closing_event(&row).ok());
        let next_run_id = close.as_ref().and_then(Event::next_run).map(|next| next.run_id.clone());
        Self {
            suspension: suspended.then(|| Reason::of(row.suspension.as_ref())),
            workflow_id: row.workflow_id,
            run_id: row.run_id,
            workflow_type: row.workflow_type,
            task_queue: row.queue,
            status,
            created_at: timestamp(row.created_at_ms),
            closed_at: row.closed_at_ms.map(timestamp),
            next_run_id,
        }
    }
}
