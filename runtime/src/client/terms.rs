//! When a start begins and how long it may take: its own options, and those of the workflow's attribute.

use crate::error::{Error, Result};
use crate::store::Terms;
use abide_core::{FirstMessage, Priority, RetryPolicy, StartContext, WorkflowOptions};
use std::time::Duration;

/// What a start says of its time. `None`: as the attribute says.
#[derive(Clone, Debug, Default)]
pub(super) struct Timing {
    pub(super) run_timeout: Option<Duration>,
    pub(super) execution_timeout: Option<Duration>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) delay: Option<Duration>,
    pub(super) priority: Option<Priority>,
    /// The messages that go with the start.
    pub(super) first: Vec<FirstMessage>,
}

/// A duration in whole milliseconds, the engine's resolution.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// How long after a start what happens, in ms.
pub(super) struct Spans {
    pub(super) delay_ms: Option<i64>,
    pub(super) execution_timeout_ms: Option<i64>,
}

impl Timing {
    /// What each run begins with, and how long after its start what happens.
    pub(super) fn checked(
        self,
        workflow: &'static str,
        of_attribute: WorkflowOptions,
    ) -> Result<(StartContext, Spans)> {
        let options = WorkflowOptions {
            run_timeout: self.run_timeout.or(of_attribute.run_timeout),
            execution_timeout: self.execution_timeout.or(of_attribute.execution_timeout),
            retry: self.retry.or(of_attribute.retry),
            ..of_attribute
        };
        options
            .check(workflow)
            .map_err(|(code, message)| Error::StartRefused { code: code.as_str(), message })?;
        let context = StartContext {
            run_timeout_ms: options.run_timeout.map(millis),
            retry: options.retry,
            priority: self.priority,
            first: self.first,
            ..Default::default()
        };
        let execution_timeout_ms = options.execution_timeout.map(millis);
        Ok((context, Spans { delay_ms: self.delay.map(millis), execution_timeout_ms }))
    }

    /// The terms of a run of `workflow` that is started now. Limits count from when it is due.
    pub(super) fn terms(
        self,
        workflow: &'static str,
        of_attribute: WorkflowOptions,
        now_ms: i64,
    ) -> Result<Terms> {
        let (context, spans) = self.checked(workflow, of_attribute)?;
        Ok(Terms::of(&context, (spans.delay_ms, spans.execution_timeout_ms), now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    #[test]
    fn a_start_goes_before_the_attribute_and_the_earlier_limit_counts() {
        let attribute =
            || WorkflowOptions { run_timeout: secs(10), execution_timeout: secs(60), ..Default::default() };
        let terms = |timing: Timing| timing.terms("w", attribute(), 1_000).unwrap();
        let plain = terms(Timing::default());
        assert_eq!(
            (plain.due_at_ms, plain.close_by_ms, plain.chain_by_ms),
            (None, Some(11_000), Some(61_000))
        );
        assert_eq!(plain.context.as_deref(), Some(r#"{"run_timeout_ms":10000}"#));
        let longer = terms(Timing { run_timeout: secs(90), ..Timing::default() });
        assert_eq!((longer.close_by_ms, longer.chain_by_ms), (Some(61_000), Some(61_000)));
        let later = terms(Timing { delay: secs(5), ..Timing::default() });
        assert_eq!(
            (later.due_at_ms, later.close_by_ms, later.chain_by_ms),
            (Some(6_000), Some(16_000), Some(66_000))
        );
        let none = Timing::default().terms("w", WorkflowOptions::default(), 1_000).unwrap();
        assert_eq!(
            (none.due_at_ms, none.close_by_ms, none.chain_by_ms, none.context),
            (None, None, None, None)
        );
        let endless = Timing { run_timeout: Some(Duration::MAX), ..Timing::default() };
        assert_eq!(
            endless.terms("w", WorkflowOptions::default(), 1_000).unwrap().close_by_ms,
            Some(i64::MAX)
        );
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        let timing = Timing { execution_timeout: Some(Duration::ZERO), ..Timing::default() };
        let error = timing.terms("report", WorkflowOptions::default(), 1).unwrap_err();
        assert_eq!(error.code(), "AB0430");
        assert!(
            error.to_string().starts_with("AB0430: workflow `report` has execution_timeout = 0ns"),
            "{error}"
        );
    }
}
