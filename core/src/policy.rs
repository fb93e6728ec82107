//! How an activity is run: timeouts, retries, cancellation. Defaults are Temporal's (SEMANTICS.md).

use std::sync::Arc;
use std::time::Duration;

/// When and how often a failed activity is tried again. The defaults are Temporal's.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The wait before the second attempt. Default: 1 s.
    pub initial_interval: Duration,
    /// What each further wait is multiplied with. Default: 2.0.
    pub backoff_coefficient: f64,
    /// The longest wait. Default: 100 × `initial_interval`.
    pub max_interval: Option<Duration>,
    /// How many attempts in all; 0 means without limit. Default: 0.
    pub max_attempts: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(1),
            backoff_coefficient: 2.0,
            max_interval: None,
            max_attempts: 0,
        }
    }
}

impl RetryPolicy {
    /// The wait after `attempt` (from 1) failed, or `None` where that was the last one.
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        if self.max_attempts != 0 && attempt >= self.max_attempts {
            return None;
        }
        let max = self.max_interval.unwrap_or_else(|| self.initial_interval.saturating_mul(100));
        let factor = self.backoff_coefficient.max(1.0).powi(attempt.saturating_sub(1).min(1_000) as i32);
        let secs = self.initial_interval.as_secs_f64() * factor;
        Some(Duration::try_from_secs_f64(secs).map_or(max, |d| d.min(max)))
    }
}

/// What happens to a running activity when the workflow drops its future (a lost `select!` branch, an expired
/// `timeout`, a cancelled run).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancellationType {
    /// Ask it to stop through its token and go on at once. Temporal's default and ours.
    #[default]
    TryCancel,
    /// Ask it to stop; the execution closes only after it has ended.
    WaitCancellationCompleted,
    /// Leave it alone; its result is dropped. One that names a task queue is left alone until its workflow closes.
    Abandon,
}

/// The options of one activity call: defaults from the attribute, changed at the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActivityOptions {
    /// The limit of one attempt. Default: none.
    pub start_to_close: Option<Duration>,
    /// The limit of all attempts together, from the moment it is scheduled. Default: none.
    pub schedule_to_close: Option<Duration>,
    /// How long it may wait for a slot, or for a worker of its task queue; never retried. Default: none.
    pub schedule_to_start: Option<Duration>,
    /// When and how often a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// What happens when the workflow drops the call.
    pub cancellation: CancellationType,
    /// The task queue whose workers run it. Default: none, it runs in the worker that runs the workflow.
    pub task_queue: Option<Arc<str>>,
    /// Its result commits together with its SQL: set by the attribute.
    pub transactional: bool,
}

/// The most characters of a task queue's name.
const MAX_QUEUE_CHARS: usize = 1_000;

impl ActivityOptions {
    /// Whether another process may run it: nothing of it runs in the execution's owner then.
    pub fn is_elsewhere(&self) -> bool {
        self.task_queue.is_some()
    }

    /// Whether its attempts have a row in the database, which decides who may end them (PROTOCOL 22).
    pub fn has_token(&self) -> bool {
        self.is_elsewhere() || self.transactional
    }

    /// What is wrong with the task queue that it names.
    pub(crate) fn check(&self, activity: &str) -> Result<(), String> {
        let Some(queue) = &self.task_queue else { return Ok(()) };
        if self.transactional {
            return Err(format!(
                "AB0610: activity `{activity}` is transactional, so it runs in the worker that runs its workflow: it can have \
                 no task queue"
            ));
        }
        match queue.chars().count() {
            1..=MAX_QUEUE_CHARS => Ok(()),
            chars => Err(format!(
                "AB0610: the task queue of activity `{activity}` has {chars} characters: a name has 1 to 1,000"
            )),
        }
    }
}
