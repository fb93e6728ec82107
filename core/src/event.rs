//! The history of an execution: what happened to it (inputs) and what it asked for (commands), in order.
//!
//! A journal row holds the events of one turn. The commands that an input leads to follow it. The executor
//! delivers inputs one by one, so an execution's decisions depend only on the order of its events, and never
//! on how they were grouped into turns. The enum is externally tagged because `RawValue` payloads need it.

use crate::failure::FailureRecord;
use crate::ids::EventId;
use crate::payload::Payload;
use serde::{Deserialize, Serialize};

/// One event. Its number ([`EventId`]) is its position in the history, from 1, and is not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are what their variant's line says.
pub enum Event {
    /// Input: always event 1. `seed` feeds `workflow::random` and `workflow::uuid`. `rules` is the version of
    /// the engine's rules that the run follows: [`RULES`] when it was recorded; an absent one is 0. The next
    /// `early` signals were acknowledged before the first turn, so they are delivered before the first poll
    /// of `run`.
    Started {
        input: Payload,
        seed: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        rules: u32,
        #[serde(default, skip_serializing_if = "is_zero")]
        early: u32,
    },
    /// Input: an activity returned.
    ActivityCompleted { activity: EventId, result: Payload },
    /// Input: an activity failed, and no attempt follows.
    ActivityFailed { activity: EventId, failure: FailureRecord },
    /// Input: one attempt failed; attempt `attempt + 1` is due at `next_at_ms`.
    AttemptFailed { activity: EventId, attempt: u32, failure: FailureRecord, next_at_ms: i64 },
    /// Input: a timer was due.
    TimerFired { timer: EventId },
    /// Input: a signal. `handled` is false if the code that ran at the time had no handler that takes it.
    Signaled {
        name: String,
        input: Payload,
        request_id: String,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        handled: bool,
    },
    /// Input: a signal that was kept as unhandled is delivered to a build that has a handler for it.
    SignalRedelivered { signal: EventId },
    /// Input: cancellation was requested.
    CancelRequested { request_id: String, reason: String },
    /// Input: this owner took the execution over from a dead one. Every activity that the dead owner may have
    /// been running has lost one attempt (PROTOCOL 4).
    Recovered { lost: Vec<EventId> },

    /// Command: run an activity. If `task_queue` is set, its workers run it. History records `task_queue` and
    /// `transactional` because attributes may change while the activity is open, and the recorded values keep
    /// applying.
    ActivityScheduled {
        name: String,
        input: Payload,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_queue: Option<String>,
        #[serde(default, skip_serializing_if = "is_no")]
        transactional: bool,
    },
    /// Command: the workflow dropped the activity's future.
    ActivityCancelRequested { activity: EventId },
    /// Command: wake up at `fire_at_ms`.
    TimerStarted { fire_at_ms: i64 },
    /// Command: the workflow dropped the timer's future.
    TimerCancelled { timer: EventId },
    /// Command that includes its result: a recorded value.
    SideEffect { value: Payload },

    /// Command, the last event: `run` returned a value.
    Completed { result: Payload },
    /// Command, the last event: `run` returned an error. `compensation_failures`: those of its sagas.
    Failed {
        failure: FailureRecord,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
    },
    /// Command, the last event: the execution was cancelled. It is stored under its original name.
    #[serde(rename = "canceled")]
    Cancelled {
        reason: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
    },
    /// Input, the last event: terminated from outside. No workflow code ran.
    Terminated { reason: String },
}

/// The version of the rules for runs that begin now. A run keeps the version that it began with, so that a
/// recorded history replays as it was recorded. From 1 on, the engine refuses an activity's input and a run's
/// result that do not come back from their JSON, and a time limit of zero. From 2 on, each call of
/// `workflow::cancelled()` waits for the next request. From 3 on, the end of `run` drops the tasks that its last poll
/// has spawned.
pub const RULES: u32 = 3;

/// The estimated bytes of an event without its texts: its kind, the names of its fields, numbers.
const FRAME_BYTES: usize = 48;

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_yes(b: &bool) -> bool {
    *b
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_no(b: &bool) -> bool {
    !*b
}

impl Event {
    /// Whether workflow code emitted the event. If not, it is an input.
    pub fn is_command(&self) -> bool {
        matches!(
            self,
            Self::ActivityScheduled { .. }
                | Self::ActivityCancelRequested { .. }
                | Self::TimerStarted { .. }
                | Self::TimerCancelled { .. }
                | Self::SideEffect { .. }
                | Self::Completed { .. }
                | Self::Failed { .. }
                | Self::Cancelled { .. }
        )
    }

    /// Estimates the event's bytes in the journal without encoding it: payloads, texts and a constant.
    pub(crate) fn bytes(&self) -> usize {
        let texts = match self {
            Self::Started { input, .. } => input.as_json().len(),
            Self::ActivityCompleted { result: value, .. }
            | Self::SideEffect { value }
            | Self::Completed { result: value } => value.as_json().len(),
            Self::ActivityFailed { failure, .. } | Self::AttemptFailed { failure, .. } => failure.bytes(),
            Self::Signaled { name, input, request_id, .. } => {
                name.len() + input.as_json().len() + request_id.len()
            }
            Self::CancelRequested { request_id, reason } => request_id.len() + reason.len(),
            Self::Recovered { lost } => 8 * lost.len(),
            Self::ActivityScheduled { name, input, task_queue, .. } => {
                name.len() + input.as_json().len() + task_queue.as_ref().map_or(0, String::len)
            }
            Self::Failed { failure, compensation_failures } => {
                failure.bytes() + compensation_failures.iter().map(FailureRecord::bytes).sum::<usize>()
            }
            Self::Cancelled { reason, compensation_failures } => {
                reason.len() + compensation_failures.iter().map(FailureRecord::bytes).sum::<usize>()
            }
            Self::Terminated { reason } => reason.len(),
            Self::TimerFired { .. }
            | Self::SignalRedelivered { .. }
            | Self::ActivityCancelRequested { .. }
            | Self::TimerStarted { .. }
            | Self::TimerCancelled { .. } => 0,
        };
        texts + FRAME_BYTES
    }

    /// Whether the event ends the execution.
    pub fn is_close(&self) -> bool {
        matches!(
            self,
            Self::Completed { .. } | Self::Failed { .. } | Self::Cancelled { .. } | Self::Terminated { .. }
        )
    }
}

/// One row of the journal, decoded: the events of one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalRow {
    /// The number of the first event.
    pub seq: EventId,
    /// The time of the turn: ms since the Unix epoch, on the store's clock.
    pub at_ms: i64,
    /// The events.
    pub events: Vec<Event>,
}
