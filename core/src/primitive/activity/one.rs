//! One activity: its current attempt, and what follows when it fails.

use super::attempt::{AttemptChange, AttemptFailure, FailedAttempt};
use crate::event::Event;
use crate::exec::draft::TurnDraft;
use crate::exec::turn::{Action, ActivityStart};
use crate::failure::{FailureKind, FailureRecord};
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::{ActivityOptions, MIN_WAIT, Runs, millis};
use std::time::Duration;

/// How an activity ended.
pub(crate) type Ended = Result<Payload, FailureRecord>;

/// One activity whose result the workflow waits for, or that must end before the execution closes.
pub(crate) struct Activity {
    pub(super) name: &'static str,
    input: Payload,
    pub(super) options: ActivityOptions,
    scheduled_at_ms: i64,
    pub(super) attempt: u32,
    /// The next attempt waits until this time.
    pub(super) next_at_ms: Option<i64>,
    pub(super) last_failure: Option<FailureRecord>,
    /// How many consecutive attempts, up to the current one, were lost with their worker.
    pub(super) lost: u32,
    /// Whether the store holds its last failed attempt.
    pub(super) kept: bool,
    /// What the last heartbeat told.
    pub(super) details: Option<Payload>,
    /// Its future was dropped. Only the close waits for it.
    pub(super) cancel_requested: bool,
}

/// What follows the end of an attempt.
pub(crate) enum Decision {
    /// The activity has ended.
    Ended(Event),
    /// Another attempt follows.
    Again(FailedAttempt),
}

impl Activity {
    pub(super) fn new(name: &'static str, input: Payload, options: ActivityOptions, now_ms: i64) -> Self {
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
            details: None,
            cancel_requested: false,
        }
    }

    /// An attempt elsewhere does not count: it survives the owner.
    pub(super) fn is_due(&self, now_ms: i64) -> bool {
        let waits = self.next_at_ms.is_some_and(|at| at > now_ms);
        !waits && self.options.runs().is_here()
    }

    pub(super) fn start(&self, id: EventId) -> ActivityStart {
        ActivityStart {
            activity: id,
            attempt: self.attempt,
            name: self.name,
            input: self.input.clone(),
            options: self.options.clone(),
            scheduled_at_ms: self.scheduled_at_ms,
            not_before_ms: self.next_at_ms,
            details: self.details.clone(),
        }
    }

    /// Records a failed attempt. The next attempt becomes the current one.
    pub(super) fn failed(&mut self, failed: FailedAttempt) {
        // Use the recorded number, even if it is unexpected.
        self.attempt = failed.attempt.saturating_add(1 + u32::from(mutant!(CountRetryTwice)));
        self.lost = failed.lost;
        self.next_at_ms = Some(failed.next_at_ms);
        self.last_failure = Some(failed.failure);
    }

    /// Adds what follows the end to the draft.
    pub(super) fn note_end(&self, id: EventId, ended: &Ended, draft: &mut TurnDraft) {
        // Elsewhere, the write of the outcome has deleted the row.
        if matches!(self.options.runs(), Runs::HereBeating | Runs::HereTransactional) {
            draft.actions.push(Action::Ended { activity: id, attempt: self.attempt });
        }
        if self.kept {
            draft.attempts.push(AttemptChange::Gone(id));
        }
        if let Err(failure) = ended
            && failure.kind != FailureKind::Cancelled
        {
            let (name, attempt, failure) = (self.name, self.attempt, failure.clone());
            draft.failures.push(AttemptFailure { name, attempt, failure, next_at_ms: None });
        }
    }

    /// Decides what follows a failed attempt: another one, or the end.
    pub(super) fn after_failure(
        &self,
        id: EventId,
        failure: FailureRecord,
        retryable: bool,
        retry_after: Option<Duration>,
        now_ms: i64,
    ) -> Decision {
        // An activity elsewhere that crashes its workers repeatedly must not do so in a hot loop: apply the
        // back-off. Here, the owner's crashes are counted instead.
        let again =
            failure.kind == FailureKind::WorkerLost && !self.options.runs().is_here() && self.lost > 0;
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
