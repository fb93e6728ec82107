//! What a workflow's attribute says about its runs.

use crate::code::Code;
use crate::policy::{MIN_LIMIT, RetryPolicy};
use std::time::Duration;

/// How the runs of a workflow are started, unless the start says otherwise: the arguments of its attribute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkflowOptions {
    /// The task queue. Default: the client's; otherwise that of a worker in the process that serves the workflow.
    pub task_queue: Option<String>,
    /// How long one run may take, from when it is due: at least 1 ms (`AB0430`). Default: no limit.
    pub run_timeout: Option<Duration>,
    /// How long all runs of a chain together may take: its retries, and those that it continues as. At least 1 ms
    /// (`AB0430`). Default: no limit.
    pub execution_timeout: Option<Duration>,
    /// Whether a run that has failed or taken too long is followed by another. Default: none is.
    pub retry: Option<RetryPolicy>,
}

impl WorkflowOptions {
    /// Checks the limits and waits. The text of an error begins with its code.
    pub fn check(&self, workflow: &str) -> Result<(), (Code, String)> {
        let limits = [("run_timeout", self.run_timeout), ("execution_timeout", self.execution_timeout)];
        for (name, limit) in limits {
            if let Some(limit) = limit.filter(|limit| *limit < MIN_LIMIT) {
                let text = format!(
                    "{}: workflow `{workflow}` has {name} = {limit:?}, which has run out before it can begin: the \
                     shortest limit is 1 ms; leave it out where there is none",
                    Code::LimitTooShort
                );
                return Err((Code::LimitTooShort, text));
            }
        }
        let retry = self.retry.as_ref().map_or(Ok(()), |retry| retry.check("workflow", workflow));
        retry.map_err(|text| (Code::WaitTooShort, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_waits_of_less_than_a_millisecond_are_refused() {
        let (zero, tiny) = (Some(Duration::ZERO), Some(Duration::from_nanos(1)));
        let retry =
            || Some(RetryPolicy { initial_interval: Duration::ZERO, max_attempts: 2, ..Default::default() });
        for (options, code, told) in [
            (WorkflowOptions { run_timeout: zero, ..Default::default() }, "AB0430", "run_timeout = 0ns"),
            (
                WorkflowOptions { execution_timeout: tiny, ..Default::default() },
                "AB0430",
                "execution_timeout = 1ns",
            ),
            (WorkflowOptions { retry: retry(), ..Default::default() }, "AB0432", "initial_interval = 0ns"),
        ] {
            let (of, text) = options.check("report").unwrap_err();
            assert_eq!(of.as_str(), code);
            assert!(
                text.starts_with(code) && text.contains(told) && text.contains("workflow `report`"),
                "{text}"
            );
        }
        let least = WorkflowOptions { run_timeout: Some(MIN_LIMIT), ..Default::default() };
        assert_eq!(least.check("report"), Ok(()));
        assert_eq!(WorkflowOptions::default().check("report"), Ok(()));
    }
}
