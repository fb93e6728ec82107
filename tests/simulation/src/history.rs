//! Rules for the history of one run: it has no gaps, it begins and closes once, and what began in it ends at
//! most once.

use crate::evidence::{Findings, RunEvidence};
use abide::ExecutionStatus;
use abide::history::Event;
use std::collections::BTreeSet;

/// Checks the history of a run.
pub(crate) fn check(run: &RunEvidence, findings: &mut Findings<'_>) {
    rows(run, findings);
    ends(run, findings);
    early(run, findings);
    let mut open = Open::default();
    for (number, event) in run.events() {
        open.take(number, event, findings);
        let handled = !matches!(event, Event::Signaled { handled: false, .. }) || run.leaves(event);
        let handled = handled || run.may_leave();
        findings.check(handled, "unhandled", || format!("event {number}: a signal that every build knows"));
    }
}

/// The rows have no gaps, and the times never go back.
fn rows(run: &RunEvidence, findings: &mut Findings<'_>) {
    let (mut next, mut at_ms) = (1, i64::MIN);
    for row in &run.history {
        let seq = row.seq.0;
        findings.check(seq == next, "gap", || format!("a row begins with event {seq}, not {next}"));
        findings.check(!row.events.is_empty(), "gap", || format!("the row of event {seq} is empty"));
        // A termination from outside is written with the time at which it was requested, which may be
        // earlier.
        let terminated = matches!(row.events[..], [Event::Terminated { .. }]);
        findings
            .check(row.at_ms >= at_ms || terminated, "time", || format!("time went back before event {seq}"));
        (next, at_ms) = (seq + row.events.len() as u64, row.at_ms);
    }
}

/// The first event is the start, a close is the last event, and the status agrees. Nothing stays open.
fn ends(run: &RunEvidence, findings: &mut Findings<'_>) {
    let count = run.events().count() as u64;
    for (number, event) in run.events() {
        let started = matches!(event, Event::Started { .. });
        // A run that no worker has begun may be terminated, or time out.
        let never = count == 1 && event.is_end_without_code();
        findings.check(never || started == (number == 1), "start", || format!("event {number} is {event:?}"));
        if event.is_close() && number != count {
            findings.add("after the close", format!("event {number} of {count} is {event:?}"));
        }
    }
    let last = run.events().last().map(|(_, event)| event);
    let closed = match last {
        Some(Event::Completed { .. }) => Some(ExecutionStatus::Completed),
        Some(Event::Failed { .. }) => Some(ExecutionStatus::Failed),
        Some(Event::Cancelled { .. }) => Some(ExecutionStatus::Cancelled),
        Some(Event::Terminated { .. }) => Some(ExecutionStatus::Terminated),
        Some(Event::TimedOut { .. }) => Some(ExecutionStatus::TimedOut),
        Some(Event::ContinuedAsNew { .. }) => Some(ExecutionStatus::ContinuedAsNew),
        _ => None,
    };
    match (run.status, &run.suspension) {
        (ExecutionStatus::Suspended, why) => {
            findings.add("suspended", why.clone().unwrap_or_else(|| "for no reason".to_owned()));
        }
        (ExecutionStatus::Running, _) => {
            findings.add("stuck", format!("it has not closed; its last event is {last:?}"))
        }
        (status, _) => findings
            .check(closed == Some(status), "status", || format!("{status}, but the last event is {last:?}")),
    }
}

/// The start counts the signals and updates that the first turn takes in, and they come before a cancellation.
fn early(run: &RunEvidence, findings: &mut Findings<'_>) {
    let first = run.history.first().map_or(&[][..], |row| &row.events);
    let [Event::Started { early, .. }, rest @ ..] = first else { return };
    let is_signal = |event: &&Event| matches!(event, Event::Signaled { .. } | Event::UpdateAccepted { .. });
    let signals = rest.iter().filter(is_signal).count();
    findings.check(u32::try_from(signals) == Ok(*early), "early", || {
        format!("its first turn took in {signals} signals, and its start counts {early}")
    });
    let cancel = rest.iter().position(|event| matches!(event, Event::CancelRequested { .. }));
    let late = cancel.map_or(0, |at| rest[at..].iter().filter(is_signal).count());
    findings
        .check(late == 0, "early", || format!("{late} signals came after a cancellation in its first turn"));
}

/// What is open at a point of the history.
#[derive(Default)]
struct Open {
    activities: BTreeSet<u64>,
    given_up: BTreeSet<u64>,
    timers: BTreeSet<u64>,
    unanswered: BTreeSet<u64>,
    updates: BTreeSet<u64>,
    children: BTreeSet<u64>,
    requests: BTreeSet<String>,
}

impl Open {
    fn take(&mut self, number: u64, event: &Event, findings: &mut Findings<'_>) {
        match event {
            Event::ActivityScheduled { .. } => drop(self.activities.insert(number)),
            Event::ActivityCompleted { activity, .. } | Event::ActivityFailed { activity, .. } => {
                let was = self.activities.remove(&activity.0);
                findings
                    .check(was, "ended twice", || format!("event {number}: activity {activity} is not open"));
            }
            Event::AttemptFailed { activity, .. } => {
                findings.add(
                    "attempts",
                    format!("event {number}: a retry of activity {activity} in the history"),
                );
            }
            Event::ActivityCancelRequested { activity } => {
                let fits = self.activities.contains(&activity.0) && self.given_up.insert(activity.0);
                findings.check(fits, "ended twice", || {
                    format!("event {number}: activity {activity} was given up already")
                });
            }
            Event::TimerStarted { .. } => drop(self.timers.insert(number)),
            Event::TimerFired { timer } | Event::TimerCancelled { timer } => {
                let was = self.timers.remove(&timer.0);
                findings.check(was, "timers", || format!("event {number}: timer {timer} is not open"));
            }
            Event::SignalSent { .. } => drop(self.unanswered.insert(number)),
            Event::ChildScheduled { named, .. } => {
                self.children.insert(number);
                self.unanswered.extend(named.then_some(number));
            }
            Event::ChildEnded { child, .. } => {
                let was = self.children.remove(&child.0);
                findings.check(was, "ended twice", || format!("event {number}: child {child} is not open"));
            }
            Event::Answered { command, .. } => {
                let was = self.unanswered.remove(&command.0);
                findings.check(was, "answered twice", || {
                    format!("event {number}: command {command} waits for no answer")
                });
            }
            Event::Signaled { request_id, .. } | Event::CancelRequested { request_id, .. } => {
                self.request(number, request_id, findings);
            }
            Event::UpdateAccepted { update_id, .. } => {
                self.updates.insert(number);
                self.request(number, update_id, findings);
            }
            Event::UpdateCompleted { update, .. } => {
                let was = self.updates.remove(&update.0);
                findings.check(was, "ended twice", || format!("event {number}: update {update} is not open"));
            }
            _ => {}
        }
    }

    fn request(&mut self, number: u64, request_id: &str, findings: &mut Findings<'_>) {
        let new = self.requests.insert(request_id.to_owned());
        findings.check(new, "taken twice", || format!("event {number}: `{request_id}` was taken in before"));
    }
}
