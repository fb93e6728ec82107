//! How an activity runs: timeouts, retries, cancellation. The defaults are Temporal's.

use crate::code::Code;
use crate::queueing::QueueOptions;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// When and how often a failed activity or workflow is retried. The defaults are Temporal's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryPolicy {
    /// The wait before the second attempt: at least 1 ms (`AB0432`). Default: 1 s.
    pub initial_interval: Duration,
    /// The factor of each further wait. Default: 2.0.
    pub backoff_coefficient: f64,
    /// The longest wait: at least 1 ms (`AB0432`). Default: 100 × `initial_interval`.
    pub max_interval: Option<Duration>,
    /// The most attempts in total; 0 means no limit. Default: 0.
    pub max_attempts: u32,
}

/// A duration in whole milliseconds, the engine's resolution. Saturates at `i64::MAX`.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The shortest wait before another attempt: the engine's resolution.
pub(crate) const MIN_WAIT: Duration = Duration::from_millis(1);

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
    /// The wait after failed attempt `attempt` (from 1). `None`: it was the last one.
    pub fn delay_after(&self, attempt: u32) -> Option<Duration> {
        if self.max_attempts != 0 && attempt >= self.max_attempts {
            return None;
        }
        let max = self.max_interval.unwrap_or_else(|| self.initial_interval.saturating_mul(100));
        let factor = self.backoff_coefficient.max(1.0).powi(attempt.saturating_sub(1).min(1_000) as i32);
        let secs = self.initial_interval.as_secs_f64() * factor;
        Some(Duration::try_from_secs_f64(secs).map_or(max, |d| d.min(max)).max(MIN_WAIT))
    }

    /// Checks the waits. A policy with a single attempt has none. `what`: "activity" or "workflow".
    pub(crate) fn check(&self, what: &str, name: &str) -> Result<(), String> {
        let waits = [("initial_interval", Some(self.initial_interval)), ("max_interval", self.max_interval)];
        let short = waits.into_iter().find(|(_, wait)| wait.is_some_and(|wait| wait < MIN_WAIT));
        match short {
            Some((field, Some(wait))) if self.max_attempts != 1 => Err(format!(
                "{}: the retry policy of {what} `{name}` has {field} = {wait:?}: each failed \
                 attempt is written to the database, so that a service that is down would cost hundreds of \
                 commits a second. The shortest wait is 1 ms; leave `{field}` out, or write what the \
                 service can bear",
                Code::WaitTooShort
            )),
            _ => Ok(()),
        }
    }
}

/// What happens to a running activity when the workflow drops its future (a lost `select!` branch, an expired
/// `timeout`, a cancelled run).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancellationType {
    /// Ask it to stop through its cancellation token, and go on at once. The default, as in Temporal.
    #[default]
    TryCancel,
    /// Ask it to stop. The execution closes only after the activity has ended.
    WaitCancellationCompleted,
    /// Leave it alone and discard its result. An activity on a task queue is left alone until its workflow
    /// closes.
    Abandon,
}

/// Where the attempts of an activity run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// In the execution's owner.
    Here,
    /// In the execution's owner. A row in the database keeps what its heartbeats tell.
    HereBeating,
    /// In the execution's owner, in a transaction of the database that also commits the result.
    HereTransactional,
    /// In any worker of its task queue. No attempt runs in the execution's owner.
    Elsewhere,
}

impl Runs {
    /// Whether attempts run in the execution's owner, and die with it.
    pub fn is_here(self) -> bool {
        self != Self::Elsewhere
    }

    /// Whether its attempts have a row in the database. The row decides who may end them (PROTOCOL 22), and keeps what
    /// their heartbeats tell (PROTOCOL 74).
    pub fn has_row(self) -> bool {
        self != Self::Here
    }
}

/// The options of one activity call: defaults from the attribute, changed at the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActivityOptions {
    /// The time limit of one attempt. Default: none.
    pub start_to_close: Option<Duration>,
    /// The time limit of all attempts together, from the moment of scheduling. Default: none.
    pub schedule_to_close: Option<Duration>,
    /// How long it may wait for a slot, or for a worker of its task queue. Never retried. Default: none.
    pub schedule_to_start: Option<Duration>,
    /// The longest time between two heartbeats of an attempt, and before the first one. Default: none.
    pub heartbeat_timeout: Option<Duration>,
    /// When and how often a failed attempt is retried.
    pub retry: RetryPolicy,
    /// What happens when the workflow drops the future of the call.
    pub cancellation: CancellationType,
    /// The task queue whose workers run it. Default: none; the worker of the workflow runs it.
    pub task_queue: Option<Arc<str>>,
    /// Whether its result commits together with its SQL. Set by the attribute.
    pub transactional: bool,
    /// Whether its body may leave its end to the holder of a token (`complete_later`). Set by the attribute. It then
    /// runs as a task: without a task queue, on that of the workflow.
    pub complete_later: bool,
    /// Whether a row keeps the heartbeats of attempts in the execution's owner. Set when it is scheduled: a later build
    /// may change the limit.
    pub keeps_heartbeats: bool,
    /// What it asks of its task queue; `None`: nothing. Boxed, since few calls ask.
    pub queueing: Option<Box<QueueOptions>>,
}

/// The shortest time limit: the engine's resolution.
pub(crate) const MIN_LIMIT: Duration = Duration::from_millis(1);

/// The most characters of the name of a task queue.
pub(crate) const MAX_QUEUE_CHARS: usize = 1_000;

impl ActivityOptions {
    /// Where its attempts run.
    pub fn runs(&self) -> Runs {
        match (&self.task_queue, self.transactional) {
            (Some(_), _) => Runs::Elsewhere,
            (None, true) => Runs::HereTransactional,
            (None, false) if self.keeps_heartbeats => Runs::HereBeating,
            (None, false) => Runs::Here,
        }
    }

    /// Checks the rules for limits: the waits of the retry policy are not too short, and no time limit has
    /// run out before the start. Runs that began under older rules skip this check.
    pub(crate) fn check_limits(&self, activity: &str) -> Result<(), String> {
        self.retry.check("activity", activity)?;
        let limits = [
            ("start_to_close", self.start_to_close),
            ("schedule_to_close", self.schedule_to_close),
            ("schedule_to_start", self.schedule_to_start),
            ("heartbeat_timeout", self.heartbeat_timeout),
        ];
        let short =
            limits.into_iter().find_map(|(name, limit)| Some((name, limit.filter(|l| *l < MIN_LIMIT)?)));
        short.map_or(Ok(()), |(name, limit)| {
            Err(format!(
                "{}: activity `{activity}` has {name} = {limit:?}, which has run out before an attempt \
                 can begin: the shortest limit is 1 ms; leave it out where there is none",
                Code::LimitTooShort
            ))
        })
    }

    /// What it asks of its task queue.
    pub fn queue_options(&self) -> &QueueOptions {
        self.queueing.as_deref().unwrap_or(&QueueOptions::NONE)
    }

    /// What it asks of its task queue, to be changed.
    pub fn queue_options_mut(&mut self) -> &mut QueueOptions {
        self.queueing.get_or_insert_default()
    }

    /// Checks the name of the task queue, and what is asked of it.
    pub(crate) fn check(&self, activity: &str) -> Result<(), String> {
        self.queue_options().check(activity, self.task_queue.is_some())?;
        let Some(queue) = &self.task_queue else { return Ok(()) };
        if self.transactional {
            return Err(format!(
                "{}: activity `{activity}` is transactional, so it runs in the worker that runs its \
                 workflow: it can have no task queue",
                Code::ActivityQueue
            ));
        }
        match queue.chars().count() {
            1..=MAX_QUEUE_CHARS => Ok(()),
            chars => Err(format!(
                "{}: the task queue of activity `{activity}` has {chars} characters: a name has 1 to 1,000",
                Code::ActivityQueue
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_less_than_a_millisecond_is_refused_and_none_is_made() {
        let policy = |initial_interval, max_interval, max_attempts| RetryPolicy {
            initial_interval,
            max_interval,
            max_attempts,
            ..RetryPolicy::default()
        };
        let (zero, tiny, least) = (Duration::ZERO, Duration::from_nanos(1), MIN_WAIT);
        for (policy, field) in [
            (policy(zero, None, 0), "initial_interval = 0ns"),
            (policy(tiny, Some(least), 2), "initial_interval = 1ns"),
            (policy(least, Some(zero), 0), "max_interval = 0ns"),
            (policy(Duration::from_secs(1), Some(tiny), 3), "max_interval = 1ns"),
        ] {
            let told = policy.check("activity", "ask").unwrap_err();
            assert!(!told.contains("  "), "{told}");
            assert!(told.starts_with("AB0432: ") && told.contains(field) && told.contains("`ask`"), "{told}");
            assert_eq!(policy.delay_after(1), Some(least), "an older history may have it");
        }
        assert_eq!(policy(least, None, 0).check("activity", "ask"), Ok(()));
        assert_eq!(policy(zero, None, 1).check("activity", "ask"), Ok(()), "it is never tried again");
        assert_eq!(policy(zero, None, 1).delay_after(1), None);
    }

    #[test]
    fn a_limit_of_less_than_a_millisecond_is_refused() {
        let (zero, tiny) = (Some(Duration::ZERO), Some(Duration::from_nanos(1)));
        for (options, told) in [
            (ActivityOptions { start_to_close: zero, ..Default::default() }, "start_to_close = 0ns"),
            (ActivityOptions { schedule_to_close: tiny, ..Default::default() }, "schedule_to_close = 1ns"),
            (ActivityOptions { schedule_to_start: zero, ..Default::default() }, "schedule_to_start = 0ns"),
            (ActivityOptions { heartbeat_timeout: tiny, ..Default::default() }, "heartbeat_timeout = 1ns"),
        ] {
            let text = options.check_limits("ask").unwrap_err();
            assert!(text.starts_with("AB0430: activity `ask`") && text.contains(told), "{text}");
        }
        let least = ActivityOptions { start_to_close: Some(MIN_LIMIT), ..Default::default() };
        assert_eq!(least.check_limits("ask"), Ok(()));
        assert_eq!(ActivityOptions::default().check_limits("ask"), Ok(()));
    }
}
