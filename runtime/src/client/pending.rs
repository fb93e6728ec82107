//! What is pending according to the journal: a fold over its events. It is read-only and decides nothing.

use super::time::timestamp;
use super::{Client, UntypedHandle};
use crate::error::Result;
use crate::store::{AttemptRow, BeatRow, StoreError, StoredTurn};
use abide_core::exec::FailedAttempt;
use abide_core::{Event, EventId, ExecutionId, FailureKind, FailureRecord, JournalRow, Payload};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// An activity that has been scheduled and has not ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PendingActivity {
    /// The number of the event that scheduled it.
    pub id: u64,
    /// Its name.
    pub activity_type: String,
    /// The task queue whose workers run it. `None`: the worker that runs the workflow runs it.
    pub task_queue: Option<String>,
    /// The number of the attempt that runs or is next, from 1.
    pub attempt: u32,
    /// Why the previous attempt failed.
    pub last_failure: Option<FailureRecord>,
    /// When the next attempt is due, if it waits for its back-off. [`Timestamp::MAX`] stands for every later
    /// time.
    pub next_attempt_at: Option<Timestamp>,
    /// When its last heartbeat came, of this attempt or of one before it, as the database knows: an activity without a
    /// heartbeat limit keeps its heartbeats in memory, and others write them from time to time.
    pub last_heartbeat_at: Option<Timestamp>,
    /// What the last heartbeat told, as the database knows.
    pub heartbeat_details: Option<Payload>,
}

/// A timer that has been started and has not fired.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingTimer {
    /// The number of the event that started it.
    pub id: u64,
    /// When it is due. [`Timestamp::MAX`], in the year 9999, stands for every later time.
    pub due_at: Timestamp,
}

/// A child that has been scheduled and whose end the run does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingChild {
    /// The number of the event that scheduled it.
    pub id: u64,
    /// The name of its workflow type.
    pub workflow_type: String,
    /// Its workflow id.
    pub workflow_id: String,
}

/// What has begun and has not ended.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) activities: Vec<PendingActivity>,
    pub(super) timers: Vec<PendingTimer>,
    pub(super) children: Vec<PendingChild>,
    pub(super) unhandled: Vec<String>,
    /// The reason of the last request to cancel the execution.
    pub(super) cancel_reason: Option<String>,
}

impl UntypedHandle {
    /// Reads the history so far: one row for each turn, as the journal holds it.
    pub async fn history(&self) -> Result<Vec<JournalRow>> {
        let execution = self.locate().await?;
        journal(&self.client, execution).await
    }

    /// Reads the row and the journal of the current run, from which a history is exported.
    #[cfg(feature = "testing")]
    pub(crate) async fn recorded(&self) -> Result<(crate::store::ExecutionRow, Vec<JournalRow>)> {
        let row = self.row().await?;
        let rows = journal(&self.client, row.id).await?;
        Ok((row, rows))
    }
}

/// Reads and decodes an execution's journal.
pub(crate) async fn journal(client: &Client, execution: ExecutionId) -> Result<Vec<JournalRow>> {
    decode(execution, client.abide.store().journal(execution).await?)
}

fn decode(execution: ExecutionId, turns: Vec<StoredTurn>) -> Result<Vec<JournalRow>> {
    turns.iter().map(|turn| turn.read().map_err(|unreadable| unreadable.of(execution).into())).collect()
}

impl Pending {
    /// Reads what is pending of an execution, all at one moment.
    pub(super) async fn read(client: &Client, execution: ExecutionId) -> Result<Self> {
        let Some(run) = client.abide.store().load(execution).await? else { return Ok(Self::default()) };
        let damaged = |message| StoreError::Damaged { execution, message };
        let attempts =
            run.attempts.iter().map(AttemptRow::decode).collect::<std::result::Result<Vec<_>, _>>();
        let rows = decode(execution, run.journal.map_err(damaged)?)?;
        let mut pending = Self::of(&rows, &attempts.map_err(damaged)?);
        run.beats.into_iter().for_each(|beat| pending.beat(beat));
        Ok(pending)
    }

    /// Folds a journal, and the failed attempts that are kept beside it.
    fn of(rows: &[JournalRow], attempts: &[FailedAttempt]) -> Self {
        let mut pending = Self::default();
        let mut unhandled = BTreeMap::new();
        for row in rows {
            for (id, event) in (row.seq.0..).zip(&row.events) {
                match event {
                    Event::Signaled { name, handled: false, .. } => {
                        unhandled.insert(id, name.clone());
                    }
                    Event::CancelRequested { reason, .. } => pending.cancel_reason = Some(reason.clone()),
                    Event::SignalRedelivered { signal } => {
                        unhandled.remove(&signal.0);
                    }
                    other => pending.take(id, other),
                }
            }
        }
        attempts.iter().for_each(|failed| pending.failed(failed));
        pending.unhandled = unhandled.into_values().collect();
        pending
    }

    fn take(&mut self, id: u64, event: &Event) {
        match event {
            Event::ActivityScheduled { name, task_queue, .. } => self.activities.push(PendingActivity {
                id,
                activity_type: name.clone(),
                task_queue: task_queue.clone(),
                attempt: 1,
                last_failure: None,
                next_attempt_at: None,
                last_heartbeat_at: None,
                heartbeat_details: None,
            }),
            Event::AttemptFailed { activity, attempt, failure, next_at_ms } => {
                let (activity, attempt, next_at_ms) = (*activity, *attempt, *next_at_ms);
                self.failed(&FailedAttempt {
                    activity,
                    attempt,
                    next_at_ms,
                    failure: failure.clone(),
                    lost: 0,
                });
            }
            Event::Recovered { lost } => lost.iter().for_each(|activity| self.lose(*activity)),
            Event::ActivityCompleted { activity, .. }
            | Event::ActivityFailed { activity, .. }
            | Event::ActivityCancelRequested { activity } => {
                self.activities.retain(|known| known.id != activity.0);
            }
            Event::TimerStarted { fire_at_ms } => {
                self.timers.push(PendingTimer { id, due_at: timestamp(*fire_at_ms) });
            }
            Event::TimerFired { timer } | Event::TimerCancelled { timer } => {
                self.timers.retain(|known| known.id != timer.0);
            }
            Event::ChildScheduled { workflow_type, workflow_id, .. } => self.children.push(PendingChild {
                id,
                workflow_type: workflow_type.clone(),
                workflow_id: workflow_id.clone(),
            }),
            Event::ChildEnded { child, .. }
            | Event::ChildCancelRequested { child, unborn: true }
            // It was refused: another run has its id.
            | Event::Answered { command: child, refused: Some(_) } => {
                self.children.retain(|known| known.id != child.0);
            }
            _ => {}
        }
    }

    fn failed(&mut self, failed: &FailedAttempt) {
        if let Some(known) = self.activity(failed.activity) {
            known.attempt = failed.attempt.saturating_add(1);
            known.last_failure = Some(failed.failure.clone());
            known.next_attempt_at = Some(timestamp(failed.next_at_ms));
        }
    }

    fn beat(&mut self, beat: BeatRow) {
        if let Some(known) = self.activity(beat.activity) {
            known.last_heartbeat_at = beat.at_ms.map(timestamp);
            known.heartbeat_details = Payload::from_json(beat.details).ok();
        }
    }

    fn activity(&mut self, id: EventId) -> Option<&mut PendingActivity> {
        self.activities.iter_mut().find(|known| known.id == id.0)
    }

    /// An attempt was lost with its worker.
    fn lose(&mut self, id: EventId) {
        if let Some(known) = self.activity(id) {
            known.attempt += 1;
            known.next_attempt_at = None;
            let text = "its worker was lost while the attempt may have been running";
            known.last_failure = Some(FailureRecord::new(FailureKind::WorkerLost, text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_and_not_ended() {
        let null = Payload::null;
        let scheduled = |name: &str| Event::ActivityScheduled {
            name: name.into(),
            input: null(),
            task_queue: (name == "charge").then(|| "payments".to_owned()),
            transactional: false,
            heartbeat: false,
        };
        let signaled = |name: &str, handled| Event::Signaled {
            name: name.into(),
            input: null(),
            request_id: name.into(),
            handled,
        };
        let failure = FailureRecord::new(FailureKind::Application, "declined");
        let first = vec![
            Event::Started { input: null(), seed: 1, rules: 1, early: 0, context: Box::default() },
            scheduled("reserve"),
            scheduled("charge"),
            Event::TimerStarted { fire_at_ms: 5_000 },
            Event::TimerStarted { fire_at_ms: 9_000 },
        ];
        let second = vec![
            Event::ActivityCompleted { activity: EventId(2), result: null() },
            Event::AttemptFailed { activity: EventId(3), attempt: 1, failure, next_at_ms: 7_000 },
            Event::TimerFired { timer: EventId(4) },
            signaled("approve", true),
            signaled("aprove", false),
            Event::Recovered { lost: vec![EventId(3)] },
        ];
        let rows = [
            JournalRow { seq: EventId(1), at_ms: 1, events: first },
            JournalRow { seq: EventId(6), at_ms: 2, events: second },
        ];
        let pending = Pending::of(&rows, &[]);
        let activities: Vec<_> = pending.activities.iter().map(|a| (a.id, a.attempt)).collect();
        assert_eq!(activities, [(3, 3)]);
        assert_eq!(pending.activities[0].task_queue.as_deref(), Some("payments"));
        assert_eq!(pending.timers, [PendingTimer { id: 5, due_at: timestamp(9_000) }]);
        assert_eq!(pending.unhandled, ["aprove"]);
        // The attempt that is kept beside the journal is newer than those in it. Attempts of ended activities
        // are ignored.
        let failure = FailureRecord::new(FailureKind::Application, "declined again");
        let kept = |activity| FailedAttempt {
            activity: EventId(activity),
            attempt: 9,
            next_at_ms: 8_000,
            failure: failure.clone(),
            lost: 0,
        };
        let pending = Pending::of(&rows, &[kept(2), kept(3)]);
        let [activity] = &pending.activities[..] else { panic!("{pending:?}") };
        assert_eq!((activity.id, activity.attempt), (3, 10));
        assert_eq!(activity.last_failure.as_ref(), Some(&failure));
        assert_eq!(activity.next_attempt_at, Some(timestamp(8_000)));
        assert_eq!((activity.last_heartbeat_at, &activity.heartbeat_details), (None, &None));
        let mut pending = pending;
        for activity in [2, 3] {
            let (activity, details) = (EventId(activity), "[4]".to_owned());
            pending.beat(BeatRow { activity, details, at_ms: Some(7_500) });
        }
        let [activity] = &pending.activities[..] else { panic!("{pending:?}") };
        assert_eq!(activity.last_heartbeat_at, Some(timestamp(7_500)));
        assert_eq!(activity.heartbeat_details.as_ref().map(Payload::as_json), Some("[4]"));
    }
}
