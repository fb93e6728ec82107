//! What the log says of runs: that one has begun, how one has ended, and each failed attempt. Told once it is durable, so that
//! the log and the database agree; a replay tells nothing.

use super::live::Live;
use super::session::{Session, lock};
use abide_core::Event;
use abide_core::exec::{AttemptFailure, Execution};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// So many failed attempts of an activity are told in one [`WINDOW`].
const MOST: u32 = 5;
/// See [`MOST`]; those beyond are counted, and told with the next one.
const WINDOW: Duration = Duration::from_secs(10);

/// What a turn says, once it is durable.
#[derive(Default)]
pub(super) struct News {
    /// It is the execution's first.
    pub(super) begins: bool,
    pub(super) failures: Vec<AttemptFailure>,
}

/// What workflow code tells `tracing` lies in this.
pub(super) fn span(live: &Live) -> tracing::Span {
    let names = &live.names;
    tracing::info_span!(
        target: "abide::workflow",
        "workflow",
        workflow_type = &*names.workflow_type,
        workflow_id = &*names.workflow_id,
        run_id = &*names.run_id,
    )
}

impl News {
    pub(super) fn tell(self, session: &Session, live: &Live, close: Option<&Event>) {
        // Most turns say nothing.
        if !self.begins && self.failures.is_empty() && close.is_none() {
            return;
        }
        let names = &live.names;
        let (workflow_type, workflow_id, run_id) =
            (&*names.workflow_type, &*names.workflow_id, &*names.run_id);
        if self.begins {
            tracing::info!(target: "abide::workflow", workflow_type, workflow_id, run_id, "a workflow has begun");
        }
        for failure in &self.failures {
            self::failed(session, live, failure);
        }
        let (status, error, reason) = match close {
            None => return,
            Some(Event::Completed { .. }) => ("completed", None, None),
            Some(Event::Failed { failure, .. }) => ("failed", Some(tracing::field::display(failure)), None),
            Some(Event::Cancelled { reason, .. }) => ("cancelled", None, Some(reason.as_str())),
            Some(_) => ("ended", None, None),
        };
        tracing::info!(
            target: "abide::workflow",
            workflow_type, workflow_id, run_id, status, error, reason,
            "a workflow has ended: {status}"
        );
        let lost = live.exec.as_ref().map(Execution::unknown_signals).unwrap_or_default();
        if !lost.is_empty() {
            let names = lost.iter().map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                target: "abide::workflow",
                code = "AB0629",
                workflow_type, workflow_id, run_id,
                "AB0629: workflow `{workflow_id}` has ended, and no handler has taken {} of its signals: {names}",
                lost.len()
            );
        }
    }
}

/// It was terminated from outside.
pub(super) fn terminated(live: &Live) {
    let names = &live.names;
    tracing::info!(
        target: "abide::workflow",
        workflow_type = &*names.workflow_type,
        workflow_id = &*names.workflow_id,
        run_id = &*names.run_id,
        status = "terminated",
        "a workflow was terminated"
    );
}

/// An attempt has failed, and its activity goes on, or has failed with it.
fn failed(session: &Session, live: &Live, failed: &AttemptFailure) {
    let AttemptFailure { name, attempt, failure, next_at_ms } = failed;
    let Some(untold) = lock(&session.told).may_tell(name, Instant::now()) else { return };
    let next = match next_at_ms {
        Some(at_ms) => {
            let left = at_ms.saturating_sub(session.store().now_ms()).max(0);
            format!("attempt {} follows in {:?}", attempt + 1, Duration::from_millis(left.unsigned_abs()))
        }
        None => "it is not tried again".to_owned(),
    };
    let more =
        if untold == 0 { String::new() } else { format!(" ({untold} more failed attempts were not told)") };
    tracing::warn!(
        target: "abide::activity",
        code = "AB0626",
        activity = name,
        workflow_id = &*live.names.workflow_id,
        run_id = &*live.names.run_id,
        attempt,
        untold,
        "AB0626: attempt {attempt} of activity `{name}` of workflow `{}` has failed: {failure}; {next}{more}",
        live.names.workflow_id
    );
}

/// A service that is down fails thousands of attempts a second: few of each activity are told. As many entries as there are
/// activities.
#[derive(Default)]
pub(super) struct Throttle(HashMap<&'static str, Told>);

struct Told {
    since: Instant,
    told: u32,
    untold: u64,
}

impl Throttle {
    /// Whether this one may be told, and how many were not since the last one that was.
    fn may_tell(&mut self, name: &'static str, now: Instant) -> Option<u64> {
        let entry = self.0.entry(name).or_insert(Told { since: now, told: 0, untold: 0 });
        if now.duration_since(entry.since) >= WINDOW {
            (entry.since, entry.told) = (now, 0);
        }
        if entry.told == MOST {
            entry.untold += 1;
            return None;
        }
        entry.told += 1;
        Some(std::mem::take(&mut entry.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_each_activity_are_told_and_the_others_are_counted() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let told = |throttle: &mut Throttle, name, at| {
            (0..20).filter_map(|_| throttle.may_tell(name, at)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut throttle, "a", now), [0; 5]);
        assert_eq!(told(&mut throttle, "b", now), [0; 5], "each by itself");
        assert_eq!(told(&mut throttle, "a", now + WINDOW / 2), [0; 0]);
        assert_eq!(told(&mut throttle, "a", now + WINDOW), [35, 0, 0, 0, 0]);
    }
}
