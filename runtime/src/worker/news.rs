//! Logs the start and the end of runs, and each failed attempt. Each is logged once it is durable, so that
//! the log agrees with the database. A replay logs nothing.

use super::lock::lock;
use super::names::Names;
use abide_core::exec::{AttemptFailure, Execution};
use abide_core::{Code, Event};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// The most failed attempts of one activity that are logged in one [`WINDOW`].
const MOST: u32 = 5;
/// The time over which [`MOST`] applies. Further failures are counted, and the next logged one gives their
/// number.
const WINDOW: Duration = Duration::from_secs(10);

/// What is logged of a turn, once it is durable.
#[derive(Default)]
pub(super) struct News {
    /// The turn is the execution's first.
    pub(super) begins: bool,
    pub(super) failures: Vec<AttemptFailure>,
}

impl News {
    /// Whether there is nothing to log. So it is for most turns.
    pub(super) fn is_empty(&self) -> bool {
        !self.begins && self.failures.is_empty()
    }

    pub(super) fn log(
        self,
        names: &Names,
        exec: Option<&Execution>,
        close: Option<&Event>,
        (throttle, now_ms): (&Mutex<Throttle>, i64),
    ) {
        let (workflow_type, workflow_id, run_id) =
            (&*names.workflow_type, &*names.workflow_id, &*names.run_id);
        if self.begins {
            tracing::info!(target: "abide::workflow", workflow_type, workflow_id, run_id, "a workflow has begun");
        }
        for failure in &self.failures {
            self::failed(names, failure, (throttle, now_ms));
        }
        let (status, error, reason) = match close {
            None => return,
            Some(Event::Completed { .. }) => ("completed", None, None),
            Some(Event::Failed { failure, .. }) => ("failed", Some(tracing::field::display(failure)), None),
            Some(Event::Cancelled { reason, .. }) => ("cancelled", None, Some(reason.as_str())),
            Some(Event::ContinuedAsNew { .. }) => ("continued as new", None, None),
            Some(Event::Terminated { reason }) => ("terminated", None, Some(reason.as_str())),
            Some(Event::TimedOut { .. }) => ("timed out", None, None),
            Some(_) => ("ended", None, None),
        };
        let goes_on = close.is_some_and(|close| close.next_run().is_some());
        let retried = goes_on && !matches!(close, Some(Event::ContinuedAsNew { .. }));
        let follows = if retried { "; another attempt follows" } else { "" };
        tracing::info!(
            target: "abide::workflow",
            workflow_type, workflow_id, run_id, status, error, reason,
            "a workflow has ended: {status}{follows}"
        );
        // The next run gets them.
        let lost = exec.filter(|_| !goes_on).map(Execution::unknown_signals).unwrap_or_default();
        if !lost.is_empty() {
            let names = lost.iter().map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                target: "abide::workflow",
                code = Code::SignalsLeft.as_str(),
                workflow_type, workflow_id, run_id,
                "{}: workflow `{workflow_id}` has ended, and no handler has taken {} of its signals: \
                 {names}",
                Code::SignalsLeft,
                lost.len()
            );
        }
    }
}

/// Logs that the execution was terminated from outside.
pub(super) fn terminated(names: &Names) {
    tracing::info!(
        target: "abide::workflow",
        workflow_type = &*names.workflow_type,
        workflow_id = &*names.workflow_id,
        run_id = &*names.run_id,
        status = "terminated",
        "a workflow was terminated"
    );
}

/// Logs that an attempt has failed, and whether the activity is retried.
fn failed(names: &Names, failed: &AttemptFailure, (throttle, now_ms): (&Mutex<Throttle>, i64)) {
    let AttemptFailure { name, attempt, failure, next_at_ms } = failed;
    let may_log = lock(throttle).may_log(name, Instant::now());
    let Some(skipped) = may_log else { return };
    let next = match next_at_ms {
        Some(at_ms) => {
            let left = at_ms.saturating_sub(now_ms).max(0);
            format!("attempt {} follows in {:?}", attempt + 1, Duration::from_millis(left.unsigned_abs()))
        }
        None => "it is not tried again".to_owned(),
    };
    let more =
        if skipped == 0 { String::new() } else { format!(" ({skipped} more failed attempts were not told)") };
    tracing::warn!(
        target: "abide::activity",
        code = Code::AttemptFailed.as_str(),
        activity = name,
        workflow_id = &*names.workflow_id,
        run_id = &*names.run_id,
        attempt,
        untold = skipped,
        "{}: attempt {attempt} of activity `{name}` of workflow `{}` has failed: {failure}; \
         {next}{more}",
        Code::AttemptFailed,
        names.workflow_id
    );
}

/// Limits the log of failed attempts: if a service is down, thousands fail each second. It has one entry for
/// each activity.
#[derive(Default)]
pub(super) struct Throttle(HashMap<&'static str, Logged>);

struct Logged {
    since: Instant,
    logged: u32,
    skipped: u64,
}

impl Throttle {
    /// If this failure may be logged: how many were skipped since the last one that was.
    fn may_log(&mut self, name: &'static str, now: Instant) -> Option<u64> {
        let entry = self.0.entry(name).or_insert(Logged { since: now, logged: 0, skipped: 0 });
        if now.duration_since(entry.since) >= WINDOW {
            (entry.since, entry.logged) = (now, 0);
        }
        if entry.logged == MOST {
            entry.skipped += 1;
            return None;
        }
        entry.logged += 1;
        Some(std::mem::take(&mut entry.skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_each_activity_are_told_and_the_others_are_counted() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let told = |throttle: &mut Throttle, name, at| {
            (0..20).filter_map(|_| throttle.may_log(name, at)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut throttle, "a", now), [0; 5]);
        assert_eq!(told(&mut throttle, "b", now), [0; 5], "each by itself");
        assert_eq!(told(&mut throttle, "a", now + WINDOW / 2), [0; 0]);
        assert_eq!(told(&mut throttle, "a", now + WINDOW), [35, 0, 0, 0, 0]);
    }
}
