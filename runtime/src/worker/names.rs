//! The names of a run. Its log lines, its attempts and its code carry them.

use crate::store::{ExecutionRow, NewExecution};
use abide_core::flow::Info;
use std::sync::Arc;

/// See the module documentation.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) workflow_id: Arc<str>,
    pub(super) run_id: Arc<str>,
    pub(super) workflow_type: Arc<str>,
    /// The task queue.
    pub(super) queue: String,
}

impl Names {
    /// Of a run of which only the id is known.
    pub(super) fn unknown() -> Self {
        let nothing: Arc<str> = Arc::from("");
        Self {
            workflow_id: Arc::clone(&nothing),
            run_id: Arc::clone(&nothing),
            workflow_type: nothing,
            queue: String::new(),
        }
    }

    /// What workflow code learns about its run.
    pub(super) fn info(&self) -> Info {
        Info::new(
            self.workflow_id.to_string(),
            self.run_id.to_string(),
            self.workflow_type.to_string(),
            self.queue.clone(),
        )
    }

    /// The span that contains what workflow code logs with `tracing`.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::info_span!(
            target: "abide::workflow",
            "workflow",
            workflow_type = &*self.workflow_type,
            workflow_id = &*self.workflow_id,
            run_id = &*self.run_id,
        )
    }
}

impl From<&ExecutionRow> for Names {
    fn from(row: &ExecutionRow) -> Self {
        Self {
            workflow_id: Arc::from(row.workflow_id.as_str()),
            run_id: Arc::from(row.run_id.as_str()),
            workflow_type: Arc::from(row.workflow_type.as_str()),
            queue: row.queue.clone(),
        }
    }
}

impl From<&NewExecution> for Names {
    fn from(new: &NewExecution) -> Self {
        Self {
            workflow_id: Arc::from(new.workflow_id.as_str()),
            run_id: Arc::from(new.run_id.as_str()),
            workflow_type: Arc::from(new.workflow_type.as_str()),
            queue: new.queue.clone(),
        }
    }
}
