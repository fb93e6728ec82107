//! How a child is called.

use crate::child::{ChildOptions, ParentClosePolicy};
use crate::code::Code;
use crate::def::WorkflowDef;
use crate::policy::{CancellationType, millis};
use crate::workflow_options::WorkflowOptions;

/// The most characters of a workflow id and of a task queue.
const MAX_ID_CHARS: usize = 1_000;

/// The shortest time limit, in ms.
const MIN_LIMIT_MS: i64 = 1;

/// The options of one call.
#[derive(Clone, Debug)]
pub(super) struct CallOptions {
    pub(super) id: Option<String>,
    pub(super) task_queue: Option<String>,
    pub(super) cancellation: CancellationType,
    pub(super) options: ChildOptions,
}

impl CallOptions {
    /// Those of the workflow's attribute.
    pub(super) fn of<W: WorkflowDef>() -> Self {
        let WorkflowOptions { task_queue, run_timeout, execution_timeout, retry } = W::options();
        let options = ChildOptions {
            parent_close: ParentClosePolicy::default(),
            run_timeout_ms: run_timeout.map(millis),
            execution_timeout_ms: execution_timeout.map(millis),
            retry,
            priority: None,
        };
        let cancellation = CancellationType::WaitCancellationCompleted;
        Self { id: None, task_queue, cancellation, options }
    }

    /// Checks what can be refused before anything is recorded. The error is for the caller.
    pub(super) fn check(&self, workflow: &str) -> Result<(), String> {
        check_name(workflow, "workflow id", self.id.as_deref())?;
        check_name(workflow, "task queue", self.task_queue.as_deref())?;
        self.options.retry.as_ref().map_or(Ok(()), |retry| retry.check("workflow", workflow))?;
        let limits = [
            ("run_timeout", self.options.run_timeout_ms),
            ("execution_timeout", self.options.execution_timeout_ms),
        ];
        let short = limits.into_iter().find(|(_, limit)| limit.is_some_and(|limit| limit < MIN_LIMIT_MS));
        short.map_or(Ok(()), |(name, _)| {
            Err(format!(
                "{}: the call of workflow `{workflow}` has a {name} of less than 1 ms, the shortest limit: it has run \
                 out before the child can begin; leave it out where there is none",
                Code::LimitTooShort
            ))
        })
    }
}

fn check_name(workflow: &str, what: &str, name: Option<&str>) -> Result<(), String> {
    match name.map_or(1, |name| name.chars().count()) {
        1..=MAX_ID_CHARS => Ok(()),
        chars => Err(format!(
            "{}: the {what} of a child `{workflow}` has {chars} characters: it has 1 to 1,000",
            Code::InvalidId
        )),
    }
}
