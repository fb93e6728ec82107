//! The history of an execution: what happened to it (inputs) and what it asked for (commands), in one order.
//!
//! A journal row holds the events of one turn. An input is followed by the commands that it led to, and the executor
//! delivers inputs one by one, so that an execution's choices depend on the order of its events alone, never on how
//! they were gathered into turns. The enum is externally tagged: `RawValue` payloads need it.

use crate::failure::FailureRecord;
use crate::ids::EventId;
use crate::payload::Payload;
use serde::{Deserialize, Serialize};

/// One event. Its number ([`EventId`]) is its place in the history, from 1, and is not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are what their variant's line says.
pub enum Event {
    /// Input: always event 1. `seed` feeds `workflow::random` and `workflow::uuid`. `rules`: which of the engine's rules the
    /// run follows: [`RULES`] when it was recorded, absent is 0. The next `early` signals were acknowledged before the first
    /// turn: they are delivered before `run` is first polled.
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
    /// Input: an activity failed for good.
    ActivityFailed { activity: EventId, failure: FailureRecord },
    /// Input: one attempt failed; attempt `attempt + 1` is due at `next_at_ms`.
    AttemptFailed { activity: EventId, attempt: u32, failure: FailureRecord, next_at_ms: i64 },
    /// Input: a timer was due.
    TimerFired { timer: EventId },
    /// Input: a message. `handled` is false where the code then running had no handler that takes it.
    Signaled {
        name: String,
        input: Payload,
        request_id: String,
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        handled: bool,
    },
    /// Input: a signal kept as unhandled is given to a build that knows it.
    SignalRedelivered { signal: EventId },
    /// Input: somebody asked for cancellation.
    CancelRequested { request_id: String, reason: String },
    /// Input: this owner took the execution over from a dead one. Every activity that the dead owner may have been
    /// running has lost one attempt (PROTOCOL 4).
    Recovered { lost: Vec<EventId> },

    /// Command: run an activity, by the workers of `task_queue` where one is named. Both marks are kept: attributes may
    /// change while it is open, and whoever has it has it.
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
    /// Command: wake at `fire_at_ms`.
    TimerStarted { fire_at_ms: i64 },
    /// Command: the workflow dropped the timer's future.
    TimerCancelled { timer: EventId },
    /// Command and its result in one: a recorded value.
    SideEffect { value: Payload },

    /// Command, the last event: `run` returned a value.
    Completed { result: Payload },
    /// Command, the last event: `run` returned an error. `compensation_failures` are those of its sagas.
    Failed {
        failure: FailureRecord,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
    },
    /// Command, the last event: it was cancelled. Stored under its first name.
    #[serde(rename = "canceled")]
    Cancelled {
        reason: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
    },
    /// Input, the last event: ended from outside, no workflow code ran.
    Terminated { reason: String },
}

/// The rules of runs that begin now. A run keeps those that it began with, so that a recorded history replays as it was
/// recorded. From 1 on: an activity's input and a run's result that do not come back from their JSON are refused, and so is a
/// time limit of zero. From 2 on: each call of `workflow::cancelled()` waits for the next request.
pub const RULES: u32 = 2;

/// What an event costs beside its texts: its kind, the names of its fields, numbers.
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
    /// Whether workflow code emitted it (as against received it).
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

    /// About how many bytes it takes in the journal, without encoding it: its payloads and texts, and a constant.
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

    /// Whether it ends the execution.
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
    /// When the turn was polled: ms since the Unix epoch, on the store's clock.
    pub at_ms: i64,
    /// The events.
    pub events: Vec<Event>,
}
