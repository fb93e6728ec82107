//! The history of an execution: what happened to it (inputs) and what it asked for (commands), in order.
//!
//! A journal row holds the events of one turn. The commands that an input leads to follow it. The executor
//! delivers inputs one by one, so an execution's decisions depend only on the order of its events, and never
//! on how they were grouped into turns. The enum is externally tagged because `RawValue` payloads need it.

mod texts;

use crate::carried::NextRun;
use crate::child::{ChildEnd, ChildOptions};
use crate::failure::{FailureRecord, TimeoutKind};
use crate::ids::{EventId, ExecutionId};
use crate::payload::Payload;
use crate::start_context::StartContext;
use serde::{Deserialize, Serialize};
use std::fmt;
use texts::Texts;

/// One event. Its number ([`EventId`]) is its position in the history, from 1, and is not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs)] // The fields are what their variant's line says.
pub enum Event {
    /// Input: always event 1. `seed` feeds `workflow::random` and `workflow::uuid`. `rules` is the version of
    /// the engine's rules that the run follows: [`crate::RULES`] when it was recorded; an absent one is 0. The next
    /// `early` signals were acknowledged before the first turn, so they are delivered before the first poll
    /// of `run`.
    Started {
        input: Payload,
        seed: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        rules: u32,
        #[serde(default, skip_serializing_if = "is_zero")]
        early: u32,
        #[serde(default, skip_serializing_if = "StartContext::is_empty")]
        context: Box<StartContext>,
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
    /// Input: an update whose validator has accepted it. `answer`: the process that asked, if it is another
    /// one than the owner's.
    UpdateAccepted {
        update_id: String,
        name: String,
        input: Payload,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<i64>,
    },
    /// Input: cancellation was requested.
    CancelRequested { request_id: String, reason: String },
    /// Input: what became of a command that its commit can refuse. `refused` is the reason; `None`: it was not.
    Answered {
        command: EventId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// Input: a child ended.
    ChildEnded { child: EventId, end: ChildEnd },
    /// Input: this owner took the execution over from a dead one. Every activity that the dead owner may have
    /// been running has lost one attempt (PROTOCOL 4).
    Recovered { lost: Vec<EventId> },

    /// Command: run an activity; if `task_queue` is set, in its workers. `heartbeat`: a row keeps its heartbeats. What
    /// is recorded keeps applying if attributes change while the activity is open.
    ActivityScheduled {
        name: String,
        input: Payload,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_queue: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        transactional: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        heartbeat: bool,
    },
    /// Command: the workflow dropped the activity's future.
    ActivityCancelRequested { activity: EventId },
    /// Command: start a child. `named`: the code gave the workflow id. `execution` and `run_id` are those of its
    /// first run.
    ChildScheduled {
        workflow_type: String,
        workflow_id: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        named: bool,
        execution: ExecutionId,
        run_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_queue: Option<String>,
        input: Payload,
        #[serde(default, skip_serializing_if = "ChildOptions::is_empty")]
        options: Box<ChildOptions>,
    },
    /// Command: the workflow dropped the child's call. `unborn`: it was scheduled in the same turn, so it is never
    /// started.
    ChildCancelRequested {
        child: EventId,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unborn: bool,
    },
    /// Command: wake up at `fire_at_ms`.
    TimerStarted { fire_at_ms: i64 },
    /// Command: the workflow dropped the timer's future.
    TimerCancelled { timer: EventId },
    /// Command: the handler of an update returned.
    UpdateCompleted { update: EventId, outcome: UpdateOutcome },
    /// Command that includes its result: a recorded value.
    SideEffect { value: Payload },
    /// Command: send a signal to another workflow. [`Event::Answered`] says whether it was sent.
    SignalSent { to: Recipient, name: String, input: Payload },
    /// Command: send a cancel request to another workflow. [`Event::Answered`] says whether it was sent.
    CancelSent { to: Recipient, reason: String },
    /// Command that includes its end: an item was published into a stream. The item is not in the history.
    Published { stream: String },

    /// Command, the last event: `run` returned a value.
    Completed { result: Payload },
    /// Command, the last event: `run` returned an error. `compensation_failures`: those of its sagas. `next`: the
    /// next attempt of the workflow, if one follows.
    Failed {
        failure: FailureRecord,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<NextRun>,
    },
    /// Command, the last event: the execution was cancelled. It is stored under its original name.
    #[serde(rename = "canceled")]
    Cancelled {
        reason: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensation_failures: Vec<FailureRecord>,
    },
    /// Command, the last event: another run of the chain goes on, with this input. `next` names it; it is missing
    /// only before the worker has named it. Without `workflow_type` and `task_queue` they are those of this run.
    /// `delay_ms`: how long it waits before it begins.
    ContinuedAsNew {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<NextRun>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workflow_type: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_queue: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delay_ms: Option<i64>,
        input: Payload,
    },
    /// Input, the last event: terminated from outside. No workflow code ran.
    Terminated { reason: String },
    /// Input, the last event: a time limit of the workflow ran out. No workflow code ran. `next`: the next attempt of
    /// the workflow, if one follows.
    TimedOut {
        kind: TimeoutKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<NextRun>,
    },
}

/// The workflow that a command sends a message to. The commit of the command finds its open run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The workflow of this id.
    Workflow(String),
    /// The child that this command started.
    Child(EventId),
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow(id) => f.write_str(id),
            Self::Child(child) => write!(f, "child {child}"),
        }
    }
}

/// What the handler of an update returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateOutcome {
    /// Its value.
    Completed(Payload),
    /// Its error.
    Failed(FailureRecord),
}

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

/// Who an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The execution is told of it.
    Input,
    /// Workflow code emitted it.
    Command,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Start,
    Activity,
    Timer,
    Signal,
    Update,
    Cancel,
    TakeOver,
    SideEffect,
    External,
    Answer,
    Child,
    Stream,
    End,
}

/// The table of events. Each has a line: its side, its room, the fields whose bytes count, and its words in
/// the report of a mismatch. An event without a line does not compile.
macro_rules! events {
    ($($event:pat => $side:ident $room:ident [$($texts:expr),*] $words:tt;)*) => {
        #[allow(unused_variables)]
        impl Event {
            pub(crate) fn side(&self) -> Side {
                match self { $($event => Side::$side,)* }
            }

            pub(crate) fn room(&self) -> Room {
                match self { $($event => Room::$room,)* }
            }

            /// Estimates the event's bytes in the journal without encoding it: payloads, texts and a constant.
            pub(crate) fn bytes(&self) -> usize {
                let texts: usize = match self { $($event => 0 $(+ Texts::bytes($texts))*,)* };
                texts + FRAME_BYTES
            }

            /// Describes the event in a few words, without its values.
            pub fn describe(&self) -> String {
                match self { $($event => format! $words,)* }
            }
        }
    };
}

use Event::{
    ActivityCancelRequested, ActivityCompleted, ActivityFailed, ActivityScheduled, Answered, AttemptFailed,
    CancelRequested, CancelSent, Cancelled, ChildCancelRequested, ChildEnded, ChildScheduled, Completed,
    ContinuedAsNew, Failed, Published, Recovered, SideEffect, SignalRedelivered, SignalSent, Signaled,
    Started, Terminated, TimedOut, TimerCancelled, TimerFired, TimerStarted, UpdateAccepted, UpdateCompleted,
};

events! {
    Started { input, context, .. } => Input Start [input, context] ("the workflow's start");

    ActivityScheduled { name, input, task_queue, .. } => Command Activity [name, input, task_queue]
        ("activity `{name}` with an input of {} bytes", input.as_json().len());
    ActivityCancelRequested { activity } => Command Activity [] ("the cancellation of activity {activity}");
    ActivityCompleted { activity, result } => Input Activity [result] ("the result of activity {activity}");
    ActivityFailed { activity, failure } => Input Activity [failure] ("the failure of activity {activity}");
    AttemptFailed { activity, attempt, failure, .. } => Input Activity [failure]
        ("the failure of attempt {attempt} of activity {activity}");

    TimerStarted { .. } => Command Timer [] ("a timer");
    TimerCancelled { timer } => Command Timer [] ("the end of timer {timer} before its time");
    TimerFired { timer } => Input Timer [] ("the end of timer {timer}");

    Signaled { name, input, request_id, .. } => Input Signal [name, input, request_id] ("signal `{name}`");
    SignalRedelivered { signal } => Input Signal [] ("signal {signal}, given to a handler");
    UpdateAccepted { update_id, name, input, .. } => Input Update [update_id, name, input] ("update `{name}`");
    UpdateCompleted { update, outcome } => Command Update [outcome] ("the answer of update {update}");
    CancelRequested { request_id, reason } => Input Cancel [request_id, reason] ("a request to cancel");
    Recovered { lost } => Input TakeOver [lost] ("a take-over");
    SideEffect { value } => Command SideEffect [value] ("a side effect");
    Published { stream } => Command Stream [stream] ("an item of stream `{stream}`");

    SignalSent { to, name, input } => Command External [to, name, input] ("signal `{name}` to workflow `{to}`");
    CancelSent { to, reason } => Command External [to, reason] ("a request to cancel workflow `{to}`");
    Answered { command, refused } => Input Answer [refused] ("the answer to command {command}");
    ChildScheduled { workflow_type, workflow_id, run_id, task_queue, input, .. } => Command Child
        [workflow_type, workflow_id, run_id, task_queue, input]
        ("child `{workflow_type}` with an input of {} bytes", input.as_json().len());
    ChildCancelRequested { child, .. } => Command Child [] ("the cancellation of child {child}");
    ChildEnded { child, end } => Input Child [end] ("the {} of child {child}", end.word());

    Completed { result } => Command End [result] ("the workflow's completion");
    Failed { failure, compensation_failures, .. } => Command End [failure, compensation_failures]
        ("the workflow's failure");
    Cancelled { reason, compensation_failures } => Command End [reason, compensation_failures]
        ("the workflow's cancellation");
    ContinuedAsNew { workflow_type, task_queue, input, .. } => Command End [workflow_type, task_queue, input]
        ("the end of this run, as another goes on, with an input of {} bytes", input.as_json().len());
    Terminated { reason } => Input End [reason] ("the workflow's termination");
    TimedOut { kind, .. } => Input End [] ("the end of the workflow by its {kind} time limit");
}

impl Event {
    /// Whether workflow code emitted the event. If not, it is an input.
    pub fn is_command(&self) -> bool {
        self.side() == Side::Command
    }

    /// Whether the event ends the execution at any point of its code, which does not run for it.
    pub fn is_end_without_code(&self) -> bool {
        self.is_close() && !self.is_command()
    }

    /// How a child ended, as its parent is told, if this is its closing event. `None`: it is not, or another run
    /// goes on.
    pub fn child_end(&self) -> Option<ChildEnd> {
        match self {
            _ if self.next_run().is_some() && !mutant!(ReportEachAttempt) => None,
            Self::Completed { result } => Some(ChildEnd::Completed(result.clone())),
            Self::Failed { failure, .. } => Some(ChildEnd::Failed(failure.clone())),
            Self::Cancelled { .. } => Some(ChildEnd::Cancelled),
            Self::Terminated { .. } => Some(ChildEnd::Terminated),
            Self::TimedOut { kind, .. } => Some(ChildEnd::TimedOut(*kind)),
            _ => None,
        }
    }

    /// The run that goes on after this end, if one does: the next of its chain, or the next attempt.
    pub fn next_run(&self) -> Option<&NextRun> {
        match self {
            Self::ContinuedAsNew { next, .. } | Self::Failed { next, .. } | Self::TimedOut { next, .. } => {
                next.as_ref()
            }
            _ => None,
        }
    }

    /// Whether the event ends the execution.
    pub fn is_close(&self) -> bool {
        self.room() == Room::End
    }
}

impl Texts for Recipient {
    fn bytes(&self) -> usize {
        match self {
            Self::Workflow(id) => id.len(),
            Self::Child(child) => child.bytes(),
        }
    }
}

impl Texts for UpdateOutcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Completed(value) => Texts::bytes(value),
            Self::Failed(failure) => Texts::bytes(failure),
        }
    }
}

impl Texts for ChildEnd {
    fn bytes(&self) -> usize {
        Self::bytes(self)
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
