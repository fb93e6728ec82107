//! The activities of one execution: their schedules, their current attempts, and their failures.
//!
//! The core decides about retries and the runtime runs attempts. The failure of an activity is an event
//! (`ActivityFailed`), so a replay repeats it even if the policy has changed. A retry is not an event: the
//! last failed attempt of each activity is stored beside the history (see `attempts`). Older histories have
//! `AttemptFailed` events, which a replay repeats. An activity that names a task queue runs *elsewhere*: its
//! attempts are rows in the database, which outlive the owner. Functions about the owner's own running
//! attempts do not count them.

use super::attempt::{AttemptChange, AttemptFailure, FailedAttempt};
use super::one::{Activity, Decision, Ended};
use crate::event::Event;
use crate::exec::draft::TurnDraft;
use crate::exec::pending::Pending;
use crate::exec::turn::{Action, ActivityStart, AttemptOutcome, Stop};
use crate::failure::{FailureKind, FailureRecord};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::CancellationType;
use crate::site::Site;
use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::Duration;

/// The table of activities; see the head of this module.
#[derive(Default)]
pub(crate) struct Activities {
    open: Pending<Activity, Ended>,
    /// Failed attempts from the store whose activities the replay has not scheduled yet.
    loaded: BTreeMap<EventId, FailedAttempt>,
}

/// An activity whose future was dropped.
pub(super) struct Dropped {
    /// What to do about its attempt once the turn is durable.
    pub(super) action: Action,
    /// Its stored failed attempt is of no more use.
    pub(super) forgets: bool,
}

impl Activities {
    /// Takes the failed attempts from the store, before a replay.
    pub(crate) fn load(&mut self, failed: Vec<FailedAttempt>) {
        self.loaded = failed.into_iter().map(|failed| (failed.activity, failed)).collect();
    }

    /// Takes what the last heartbeats of open activities have told, after a replay.
    pub(crate) fn take_details(&mut self, told: Vec<(EventId, Payload)>) {
        for (id, details) in told {
            if let Some(activity) = self.open.get_mut(id) {
                activity.details = Some(details);
            }
        }
    }

    /// An activity was scheduled. Returns its start if it is new. A recorded one was started earlier.
    pub(super) fn schedule(
        &mut self,
        id: EventId,
        mut activity: Activity,
        site: Option<&'static Site>,
        live: bool,
    ) -> Option<ActivityStart> {
        let start = live.then(|| activity.start(id));
        if let Some(failed) = self.loaded.remove(&id).filter(|_| !live) {
            activity.failed(failed);
            activity.kept = true;
        }
        self.open.add(id, activity, site);
        start
    }

    pub(super) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Poll<Ended> {
        self.open.poll(id, waker)
    }

    /// The workflow dropped the future of `id`. `None`: the activity had ended.
    pub(super) fn dropped(&mut self, id: EventId) -> Option<Dropped> {
        let Some(activity) = self.open.get_mut(id) else {
            self.open.remove(id);
            return None;
        };
        let kind = activity.options.cancellation;
        let stop = Stop {
            activity: id,
            runs: activity.options.runs(),
            wait: kind == CancellationType::WaitCancellationCompleted,
            attempt: activity.attempt,
        };
        // An activity that the close waits for keeps its stored attempt: its outcome names that number.
        let forgets = activity.kept && !stop.wait;
        match stop.wait {
            true => activity.cancel_requested = true,
            false => drop(self.open.remove(id)),
        }
        let action =
            if kind == CancellationType::Abandon { Action::Abandon(id) } else { Action::Cancel(stop) };
        Some(Dropped { action, forgets })
    }

    /// Whether some dropped activity must end before the execution may close.
    pub(crate) fn must_wait(&self) -> bool {
        self.open.iter().any(|(_, a)| a.cancel_requested)
    }

    /// Decides what follows an attempt's outcome. `None`: the outcome no longer counts.
    pub(crate) fn decide(
        &mut self,
        id: EventId,
        attempt: u32,
        outcome: AttemptOutcome,
        now_ms: i64,
    ) -> Option<Decision> {
        let activity = self.open.get_mut(id).filter(|activity| activity.attempt == attempt)?;
        Some(match outcome {
            AttemptOutcome::Completed(result) => {
                Decision::Ended(Event::ActivityCompleted { activity: id, result })
            }
            AttemptOutcome::Cancelled => {
                let failure = FailureRecord::new(FailureKind::Cancelled, "activity was cancelled");
                Decision::Ended(Event::ActivityFailed { activity: id, failure })
            }
            AttemptOutcome::Failed { failure, retryable, retry_after, details } => {
                // An attempt without a heartbeat keeps what the one before it has told.
                activity.details = details.or_else(|| activity.details.take());
                let failure = failure.caused_by(activity.last_failure.as_ref());
                activity.after_failure(id, failure, retryable, retry_after, now_ms)
            }
        })
    }

    /// The activities that a dead owner may have been running. It never started a retry that was due after
    /// `retried_ms`, nor an activity scheduled after `written` (by a replay that went on beyond its history).
    pub(crate) fn lost(&self, running: &[EventId], written: EventId, retried_ms: i64) -> Vec<EventId> {
        let lost = |(id, activity): &(EventId, &Activity)| {
            *id <= written && activity.is_due(retried_ms) && !running.contains(id)
        };
        self.open.iter().filter(lost).map(|(id, _)| id).collect()
    }

    /// Decides what follows the loss of `id`'s attempt. `None`: the activity is no longer open.
    pub(crate) fn lose(&self, id: EventId, now_ms: i64) -> Option<Decision> {
        let activity = self.open.get(id)?;
        let failure = FailureRecord::new(FailureKind::WorkerLost, "the worker died with this attempt");
        Some(activity.after_failure(id, failure, true, Some(Duration::ZERO), now_ms))
    }

    /// A retry follows this failed attempt. Live only: [`Activities::load`] gives a replay its own.
    pub(crate) fn again(&mut self, failed: FailedAttempt, draft: &mut TurnDraft) {
        let Some(activity) = self.open.get_mut(failed.activity) else { return };
        draft.failures.push(AttemptFailure {
            name: activity.name,
            attempt: failed.attempt,
            failure: failed.failure.clone(),
            next_at_ms: Some(failed.next_at_ms),
        });
        activity.failed(failed.clone());
        activity.kept = true;
        draft.actions.push(Action::Start(activity.start(failed.activity)));
        draft.attempts.push(AttemptChange::Failed(failed));
    }

    /// An activity has ended. `draft`: that of the turn, if the end is new.
    pub(crate) fn end(&mut self, id: EventId, ended: Ended, draft: Option<&mut TurnDraft>) {
        let Some(activity) = self.open.get_mut(id) else { return };
        if let Some(draft) = draft {
            activity.note_end(id, &ended, draft);
        }
        match activity.cancel_requested {
            true => drop(self.open.remove(id)),
            false => self.open.end(id, ended),
        }
    }

    /// A failed attempt in an older history. An attempt from the store is newer than the event.
    pub(crate) fn attempt_failed(
        &mut self,
        id: EventId,
        attempt: u32,
        failure: FailureRecord,
        next_at_ms: i64,
    ) {
        let Some(activity) = self.open.get_mut(id).filter(|activity| !activity.kept) else { return };
        let lost = if failure.kind == FailureKind::WorkerLost { activity.lost + 1 } else { 0 };
        activity.failed(FailedAttempt { activity: id, attempt, next_at_ms, failure, lost });
    }

    /// The attempts that a new owner must start itself, now or later.
    pub(crate) fn outstanding(&self) -> Vec<ActivityStart> {
        self.here().filter(|(_, a)| !a.cancel_requested).map(|(id, a)| a.start(id)).collect()
    }

    /// The owner's attempts that were asked to stop and that the close waits for.
    pub(crate) fn cancelling(&self) -> Vec<(EventId, u32)> {
        self.here().filter(|(_, a)| a.cancel_requested).map(|(id, a)| (id, a.attempt)).collect()
    }

    /// The open activities that the execution's owner runs itself. Their attempts die with the owner.
    fn here(&self) -> impl Iterator<Item = (EventId, &Activity)> {
        self.open.iter().filter(|(_, a)| a.options.runs().is_here())
    }

    /// Whether an activity is open that the owner runs itself.
    pub(crate) fn any_here(&self) -> bool {
        self.here().next().is_some()
    }

    /// The awaits that wait for an activity.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &'static Site> {
        self.open.sites().filter(|(_, a, _)| !a.cancel_requested).filter_map(|(_, _, site)| site)
    }

    /// Whether an attempt in the owner is running or about to: an activity is open and waits for no back-off.
    pub(crate) fn any_due(&self, now_ms: i64) -> bool {
        self.open.iter().any(|(_, a)| a.is_due(now_ms))
    }

    /// When the next back-off after `after_ms` ends. The database handles back-offs elsewhere.
    pub(crate) fn next_retry_ms(&self, after_ms: i64) -> Option<i64> {
        let open = self.here().filter(|(_, a)| !a.cancel_requested);
        open.filter_map(|(_, a)| a.next_at_ms).filter(|at| *at > after_ms).min()
    }

    /// The most consecutive attempts that any one open activity of the owner has lost.
    pub(crate) fn lost_in_a_row(&self) -> u32 {
        self.here().map(|(_, a)| a.lost).max().unwrap_or(0)
    }

    /// How many activities the workflow waits for, or has not taken the result of.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
