//! The activities of one execution: their schedules, their current attempts, and their failures.
//!
//! The core decides about retries and the runtime runs attempts. The failure of an activity is an event
//! (`ActivityFailed`), so a replay repeats it even if the policy has changed. A retry is not an event: the
//! last failed attempt of each activity is stored beside the history (see `attempts`). Older histories have
//! `AttemptFailed` events, which a replay repeats. An activity that names a task queue runs *elsewhere*: its
//! attempts are rows in the database, which outlive the owner. Functions about the owner's own running
//! attempts do not count them.

use super::attempts::{AttemptChange, AttemptFailure, FailedAttempt};
use super::{Action, ActivityStart, AttemptOutcome, Stop};
use crate::event::Event;
use crate::failure::{FailureKind, FailureRecord};
use crate::guard::Site;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::{ActivityOptions, CancellationType, MIN_WAIT};
use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

/// How an activity ended.
pub(crate) type Ended = Result<Payload, FailureRecord>;

/// One activity whose result the workflow waits for, or that must end before the execution closes.
pub(crate) struct Activity {
    pub(crate) name: &'static str,
    pub(crate) input: Payload,
    pub(crate) options: ActivityOptions,
    pub(crate) scheduled_at_ms: i64,
    pub(crate) attempt: u32,
    /// The next attempt waits until this time.
    pub(crate) next_at_ms: Option<i64>,
    pub(crate) last_failure: Option<FailureRecord>,
    /// How many consecutive attempts, up to the current one, were lost with their worker.
    lost: u32,
    /// Whether the store holds its last failed attempt.
    kept: bool,
    pub(crate) site: Option<&'static Site>,
    /// Its future was dropped. Only the close waits for it.
    pub(crate) cancel_requested: bool,
    ended: Option<Ended>,
    waker: Option<Waker>,
}

/// What follows the end of an attempt.
pub(crate) enum Decision {
    /// The activity has ended.
    Ended(Event),
    /// Another attempt follows.
    Again(FailedAttempt),
}

/// The effects of a turn. Each list is in order.
#[derive(Default)]
pub(crate) struct Effects {
    /// Actions for after the append.
    pub(crate) actions: Vec<Action>,
    /// Changes that the append writes.
    pub(crate) changes: Vec<AttemptChange>,
    /// Failures to log.
    pub(crate) failures: Vec<AttemptFailure>,
}

/// How many effects of each kind exist at a point of a turn.
#[derive(Clone, Copy, Default)]
pub(crate) struct EffectCount {
    actions: usize,
    changes: usize,
    failures: usize,
}

impl Effects {
    /// Drops the effects after that point.
    pub(crate) fn truncate(&mut self, to: EffectCount) {
        self.actions.truncate(to.actions);
        self.changes.truncate(to.changes);
        self.failures.truncate(to.failures);
    }
}

/// The table of activities; see the head of this module.
#[derive(Default)]
pub(crate) struct Activities {
    open: BTreeMap<EventId, Activity>,
    /// Failed attempts from the store whose activities the replay has not scheduled yet.
    loaded: BTreeMap<EventId, FailedAttempt>,
    effects: Effects,
}

impl Activities {
    /// Takes the failed attempts from the store, before a replay.
    pub(crate) fn load(&mut self, failed: Vec<FailedAttempt>) {
        self.loaded = failed.into_iter().map(|failed| (failed.activity, failed)).collect();
    }

    /// `live`: the event is not in the history yet, so the activity must still be started.
    pub(crate) fn schedule(&mut self, id: EventId, mut activity: Activity, live: bool) {
        if live {
            self.effects.actions.push(Action::Start(activity.start(id)));
        } else if let Some(failed) = self.loaded.remove(&id) {
            activity.failed(failed);
            activity.kept = true;
        }
        self.open.insert(id, activity);
    }

    /// Takes the result, or registers the waker that `waker` makes.
    pub(crate) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Option<Ended> {
        let activity = self.open.get_mut(&id)?;
        match activity.ended.take() {
            Some(ended) => {
                self.open.remove(&id);
                Some(ended)
            }
            None => {
                activity.waker = Some(waker());
                None
            }
        }
    }

    /// The workflow dropped the future of `id`. Returns the command to emit. `live`: it is not recorded yet.
    pub(crate) fn dropped(&mut self, id: EventId, live: bool) -> Option<Event> {
        let activity = self.open.get_mut(&id)?;
        if activity.ended.is_some() {
            self.open.remove(&id);
            return None;
        }
        // An activity that the close waits for keeps its stored attempt: its outcome names that number.
        let forgets =
            activity.kept && activity.options.cancellation != CancellationType::WaitCancellationCompleted;
        let kind = activity.options.cancellation;
        let stop = Stop {
            activity: id,
            elsewhere: activity.options.is_elsewhere(),
            token: activity.options.has_token(),
            wait: kind == CancellationType::WaitCancellationCompleted,
            attempt: activity.attempt,
        };
        if stop.wait {
            activity.cancel_requested = true;
            activity.waker = None;
        } else {
            self.open.remove(&id);
        }
        let abandoned = kind == CancellationType::Abandon;
        if live {
            self.effects.actions.push(if abandoned { Action::Abandon(id) } else { Action::Cancel(stop) });
            self.effects.changes.extend(forgets.then_some(AttemptChange::Gone(id)));
        }
        (!abandoned).then_some(Event::ActivityCancelRequested { activity: id })
    }

    /// Whether some dropped activity must end before the execution may close.
    pub(crate) fn must_wait(&self) -> bool {
        self.open.values().any(|a| a.cancel_requested)
    }

    /// Decides what follows an attempt's outcome. `None`: the outcome no longer counts.
    pub(crate) fn decide(
        &self,
        id: EventId,
        attempt: u32,
        outcome: AttemptOutcome,
        now_ms: i64,
    ) -> Option<Decision> {
        let activity = self.open.get(&id).filter(|a| a.attempt == attempt && a.ended.is_none())?;
        Some(match outcome {
            AttemptOutcome::Completed(result) => {
                Decision::Ended(Event::ActivityCompleted { activity: id, result })
            }
            AttemptOutcome::Cancelled => {
                let failure = FailureRecord::new(FailureKind::Cancelled, "activity was cancelled");
                Decision::Ended(Event::ActivityFailed { activity: id, failure })
            }
            AttemptOutcome::Failed { failure, retryable, retry_after } => {
                let failure = failure.caused_by(activity.last_failure.as_ref());
                activity.after_failure(id, failure, retryable, retry_after, now_ms)
            }
        })
    }

    /// The activities that a dead owner may have been running. It never started a retry that was due after
    /// `retried_ms`, nor an activity scheduled after `written` (by a replay that went on beyond its history).
    pub(crate) fn lost(&self, running: &[EventId], written: EventId, retried_ms: i64) -> Vec<EventId> {
        let lost = |(id, a): &(&EventId, &Activity)| {
            **id <= written && a.is_due(retried_ms) && !running.contains(id)
        };
        self.open.iter().filter(lost).map(|(id, _)| *id).collect()
    }

    /// Decides what follows the loss of `id`'s attempt. `None`: the activity is no longer open.
    pub(crate) fn lose(&self, id: EventId, now_ms: i64) -> Option<Decision> {
        let activity = self.open.get(&id).filter(|a| a.ended.is_none())?;
        let failure = FailureRecord::new(FailureKind::WorkerLost, "the worker died with this attempt");
        Some(activity.after_failure(id, failure, true, Some(Duration::ZERO), now_ms))
    }

    /// A retry follows this failed attempt. Live only: [`Activities::load`] gives a replay its own.
    pub(crate) fn again(&mut self, failed: FailedAttempt) {
        let Some(activity) = self.open.get_mut(&failed.activity) else { return };
        self.effects.failures.push(AttemptFailure {
            name: activity.name,
            attempt: failed.attempt,
            failure: failed.failure.clone(),
            next_at_ms: Some(failed.next_at_ms),
        });
        activity.failed(failed.clone());
        activity.kept = true;
        self.effects.actions.push(Action::Start(activity.start(failed.activity)));
        self.effects.changes.push(AttemptChange::Failed(failed));
    }

    /// Applies an event about an activity, live or replayed.
    pub(crate) fn apply(&mut self, event: &Event, live: bool) {
        let (id, ended) = match event {
            Event::ActivityCompleted { activity, result } => (*activity, Ok(result.clone())),
            Event::ActivityFailed { activity, failure } => (*activity, Err(failure.clone())),
            Event::AttemptFailed { activity, attempt, failure, next_at_ms } => {
                return self.attempt_failed(*activity, *attempt, failure, *next_at_ms);
            }
            _ => return,
        };
        let Some(activity) = self.open.get_mut(&id) else { return };
        // Elsewhere, the write of the outcome has deleted the row.
        if live && activity.options.transactional && !activity.options.is_elsewhere() {
            self.effects.actions.push(Action::Ended { activity: id, attempt: activity.attempt });
        }
        if live && activity.kept {
            self.effects.changes.push(AttemptChange::Gone(id));
        }
        if let Err(failure) = &ended
            && live
            && failure.kind != FailureKind::Cancelled
        {
            let (name, attempt, failure) = (activity.name, activity.attempt, failure.clone());
            self.effects.failures.push(AttemptFailure { name, attempt, failure, next_at_ms: None });
        }
        if activity.cancel_requested {
            self.open.remove(&id);
            return;
        }
        activity.ended = Some(ended);
        if let Some(waker) = activity.waker.take() {
            waker.wake();
        }
    }

    /// Applies an event of an older history. An attempt from the store is newer than the event.
    fn attempt_failed(&mut self, id: EventId, attempt: u32, failure: &FailureRecord, next_at_ms: i64) {
        let Some(activity) = self.open.get_mut(&id).filter(|activity| !activity.kept) else { return };
        let lost = if failure.kind == FailureKind::WorkerLost { activity.lost + 1 } else { 0 };
        activity.failed(FailedAttempt { activity: id, attempt, next_at_ms, failure: failure.clone(), lost });
    }

    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// How many effects there are since the last take.
    pub(crate) fn acted(&self) -> EffectCount {
        let Effects { actions, changes, failures } = &self.effects;
        EffectCount { actions: actions.len(), changes: changes.len(), failures: failures.len() }
    }

    /// The attempts that a new owner must start itself, now or later.
    pub(crate) fn outstanding(&self) -> Vec<ActivityStart> {
        self.here()
            .filter(|(_, a)| a.ended.is_none() && !a.cancel_requested)
            .map(|(id, a)| a.start(*id))
            .collect()
    }

    /// The owner's attempts that were asked to stop and that the close waits for.
    pub(crate) fn cancelling(&self) -> Vec<(EventId, u32)> {
        self.here().filter(|(_, a)| a.cancel_requested).map(|(id, a)| (*id, a.attempt)).collect()
    }

    /// The activities that the execution's owner runs itself. Their attempts die with the owner.
    fn here(&self) -> impl Iterator<Item = (&EventId, &Activity)> {
        self.open.iter().filter(|(_, a)| !a.options.is_elsewhere())
    }

    /// Whether an activity is open that the owner runs itself.
    pub(crate) fn any_here(&self) -> bool {
        self.here().any(|(_, a)| a.ended.is_none())
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = (EventId, &Activity)> {
        self.open.iter().filter(|(_, a)| a.ended.is_none()).map(|(id, a)| (*id, a))
    }

    /// Whether an attempt in the owner is running or about to: an activity is open and waits for no back-off.
    pub(crate) fn any_due(&self, now_ms: i64) -> bool {
        self.open.values().any(|a| a.is_due(now_ms))
    }

    /// When the next back-off after `after_ms` ends. The database handles back-offs elsewhere.
    pub(crate) fn next_retry_ms(&self, after_ms: i64) -> Option<i64> {
        let open = self.here().filter(|(_, a)| a.ended.is_none() && !a.cancel_requested);
        open.filter_map(|(_, a)| a.next_at_ms).filter(|at| *at > after_ms).min()
    }

    /// The most consecutive attempts that any one open activity of the owner has lost.
    pub(crate) fn lost_in_a_row(&self) -> u32 {
        self.here().filter(|(_, a)| a.ended.is_none()).map(|(_, a)| a.lost).max().unwrap_or(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Activity {
    pub(crate) fn new(
        name: &'static str,
        input: Payload,
        options: ActivityOptions,
        now_ms: i64,
        site: Option<&'static Site>,
    ) -> Self {
        Self {
            name,
            input,
            options,
            scheduled_at_ms: now_ms,
            attempt: 1,
            next_at_ms: None,
            last_failure: None,
            lost: 0,
            kept: false,
            site,
            cancel_requested: false,
            ended: None,
            waker: None,
        }
    }

    /// An attempt elsewhere does not count: it survives the owner.
    fn is_due(&self, now_ms: i64) -> bool {
        let waits = self.next_at_ms.is_some_and(|at| at > now_ms);
        self.ended.is_none() && !waits && !self.options.is_elsewhere()
    }

    fn start(&self, id: EventId) -> ActivityStart {
        ActivityStart {
            activity: id,
            attempt: self.attempt,
            name: self.name,
            input: self.input.clone(),
            options: self.options.clone(),
            scheduled_at_ms: self.scheduled_at_ms,
            not_before_ms: self.next_at_ms,
        }
    }

    /// Records a failed attempt. The next attempt becomes the current one.
    fn failed(&mut self, failed: FailedAttempt) {
        // Use the recorded number, even if it is unexpected.
        self.attempt = failed.attempt.saturating_add(1 + u32::from(mutant!(CountRetryTwice)));
        self.lost = failed.lost;
        self.next_at_ms = Some(failed.next_at_ms);
        self.last_failure = Some(failed.failure);
    }

    fn after_failure(
        &self,
        id: EventId,
        failure: FailureRecord,
        retryable: bool,
        retry_after: Option<Duration>,
        now_ms: i64,
    ) -> Decision {
        // An activity elsewhere that crashes its workers repeatedly must not do so in a hot loop: apply the
        // back-off. Here, the owner's crashes are counted instead.
        let again = failure.kind == FailureKind::WorkerLost && self.options.is_elsewhere() && self.lost > 0;
        // A lost worker is not a failure of the activity: retry at once.
        let ours = matches!(failure.kind, FailureKind::WorkerLost | FailureKind::WorkerShutdown);
        let asked = retry_after.filter(|asked| !again && (ours || *asked >= MIN_WAIT));
        let delay = self.options.retry.delay_after(self.attempt).map(|delay| asked.unwrap_or(delay));
        let next_at_ms = delay.map(|delay| now_ms.saturating_add(millis(delay)));
        let deadline =
            self.options.schedule_to_close.map(|limit| self.scheduled_at_ms.saturating_add(millis(limit)));
        match next_at_ms.filter(|next| deadline.is_none_or(|deadline| *next < deadline)) {
            Some(next_at_ms) if retryable && !self.cancel_requested => {
                let lost =
                    if failure.kind == FailureKind::WorkerLost { self.lost.saturating_add(1) } else { 0 };
                let attempt = self.attempt;
                Decision::Again(FailedAttempt { activity: id, attempt, next_at_ms, failure, lost })
            }
            _ => Decision::Ended(Event::ActivityFailed { activity: id, failure }),
        }
    }
}

/// A duration in whole milliseconds, the engine's resolution. Saturates at `i64::MAX`.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
