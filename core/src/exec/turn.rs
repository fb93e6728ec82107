//! What goes into a turn and what comes out of it: inputs, actions, how the execution then stands. Plain data.

use super::{AttemptChange, AttemptFailure, Suspension};
use crate::event::Event;
use crate::failure::FailureRecord;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::ActivityOptions;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that happened to an execution.
#[derive(Clone, Debug)]
pub enum Input {
    /// Its first: the arguments, and the seed of its random numbers.
    Start {
        /// The encoded arguments of `run`.
        input: Payload,
        /// Feeds `workflow::random` and `workflow::uuid`.
        seed: u64,
    },
    /// An attempt ended.
    Attempt {
        /// The activity.
        activity: EventId,
        /// Which attempt, from 1.
        attempt: u32,
        /// How it ended.
        outcome: AttemptOutcome,
    },
    /// A signal. One with a known request id is dropped.
    Signal {
        /// The handler's name.
        name: String,
        /// Its encoded arguments.
        input: Payload,
        /// The sender's id of this call.
        request_id: String,
    },
    /// A request to cancel.
    Cancel {
        /// The sender's id of this call.
        request_id: String,
        /// For people.
        reason: String,
    },
    /// This owner took over from one that is gone: always the first input then. Every activity that may have been
    /// running there has lost an attempt, except those that still run here.
    Recovered {
        /// Activities whose attempt is known to be running in this process.
        running: Vec<EventId>,
        /// No retry that was due later than this was ever started.
        retried_ms: i64,
    },
}

impl Input {
    /// Whether somebody sent it: a message is taken in before its execution may close.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Signal { .. } | Self::Cancel { .. })
    }
}

/// How one attempt of an activity ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It returned a value.
    Completed(Payload),
    /// It failed.
    Failed {
        /// How.
        failure: FailureRecord,
        /// Whether a retry may mend it.
        retryable: bool,
        /// The wait that it asks for, instead of the policy's.
        retry_after: Option<Duration>,
    },
    /// It ended because its token was cancelled.
    Cancelled,
}

/// Something to do once the turn's append is durable.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run an attempt.
    Start(ActivityStart),
    /// Ask the attempt to stop.
    Cancel(Stop),
    /// Leave the attempt alone; nobody waits for its result.
    Abandon(EventId),
    /// A transactional activity of the owner's has ended by this attempt.
    #[allow(missing_docs)] // as its line says
    Ended { activity: EventId, attempt: u32 },
}

/// An attempt that nobody wants any more.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// From 1.
    pub attempt: u32,
    /// Another process may run it.
    pub elsewhere: bool,
    /// It has a row in the database.
    pub token: bool,
    /// Its end is waited for.
    pub wait: bool,
}

/// One attempt to run.
#[derive(Clone, Debug)]
pub struct ActivityStart {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// From 1.
    pub attempt: u32,
    /// The activity's type.
    pub name: &'static str,
    /// Its encoded arguments.
    pub input: Payload,
    /// Its limits and policy.
    pub options: ActivityOptions,
    /// When it was scheduled.
    pub scheduled_at_ms: i64,
    /// Not to be started earlier (back-off).
    pub not_before_ms: Option<i64>,
}

/// How an execution stands after a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It waits.
    Open,
    /// It ended; the closing event is the turn's last.
    Closed,
    /// It cannot go on.
    Suspended(Suspension),
}

/// What a turn came to.
#[derive(Debug)]
pub struct Turn {
    /// The number of the first event.
    pub seq: EventId,
    /// The turn's time: never before the last one's.
    pub at_ms: i64,
    /// The events to append; may be empty.
    pub events: Vec<Event>,
    /// What to do after the append.
    pub actions: Vec<Action>,
    /// What the append does to the failed attempts that are kept beside the history; may be all that there is to write.
    pub attempts: Vec<AttemptChange>,
    /// The attempts that have failed, for the log.
    pub failures: Vec<AttemptFailure>,
    /// How the execution stands.
    pub standing: Standing,
    /// Inputs that a suspended execution could not take in: to be kept for its resumption.
    pub undelivered: Vec<Input>,
}
