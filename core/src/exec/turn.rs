//! The data of a turn: its inputs, its actions, and the state of the execution after it. No logic.

use super::suspension::Suspension;
use crate::carried::NextRun;
use crate::child::{Birth, ChildEnd};
use crate::event::{Event, UpdateOutcome};
use crate::failure::FailureRecord;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::policy::{ActivityOptions, Runs};
use crate::primitive::activity::attempt::{AttemptChange, AttemptFailure};
use crate::primitive::stream::item::PublishedItem;
use crate::start_context::StartContext;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Something that happened to an execution.
#[derive(Clone, Debug)]
pub enum Input {
    /// The first input: the arguments, and the seed of the random numbers.
    Start {
        /// The encoded arguments of `run`.
        input: Payload,
        /// Feeds `workflow::random` and `workflow::uuid`.
        seed: u64,
        /// What it begins with besides.
        context: Box<StartContext>,
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
    /// A signal. It is dropped if its request id is known.
    Signal {
        /// The handler's name.
        name: String,
        /// Its encoded arguments.
        input: Payload,
        /// The sender's id of this request.
        request_id: String,
    },
    /// An update, or a look at one.
    Update(Box<UpdateAsk>),
    /// A request to cancel.
    Cancel {
        /// The sender's id of this request.
        request_id: String,
        /// The reason, for people.
        reason: String,
    },
    /// The answer to a command (PROTOCOL 33). It is dropped if the command has its answer.
    Answered {
        /// The command.
        command: EventId,
        /// Why the store refused it. `None`: it did not.
        refused: Option<String>,
    },
    /// A child ended. It is dropped if no future waits for the child, or if it has ended.
    ChildEnded {
        /// The number of the command that started it.
        child: EventId,
        /// How it ended.
        end: ChildEnd,
    },
    /// This owner took over from one that is gone. It is then always the first input. Every activity that may
    /// have been running in the old owner has lost an attempt, except those that still run here.
    Recovered {
        /// Activities whose attempt is still running in this process.
        running: Vec<EventId>,
        /// No retry that was due after this time was ever started.
        retried_ms: i64,
    },
}

impl Input {
    pub(super) fn is_cancel(&self) -> bool {
        matches!(self, Self::Cancel { .. })
    }

    /// Whether a sender sent it. A message is delivered before its execution may close.
    pub fn is_message(&self) -> bool {
        match self {
            Self::Signal { .. } | Self::Update(_) | Self::Cancel { .. } => true,
            Self::Start { .. }
            | Self::Attempt { .. }
            | Self::Answered { .. }
            | Self::ChildEnded { .. }
            | Self::Recovered { .. } => false,
        }
    }
}

/// A client asks for an update (PROTOCOL 43).
#[derive(Clone, Debug)]
pub struct UpdateAsk {
    /// The request id of the update. An execution accepts it once.
    pub update_id: String,
    /// The handler's name.
    pub name: String,
    /// Its encoded arguments. `None`: the client only asks how far the update is.
    pub input: Option<Payload>,
    /// The id of this ask, which the client keeps over its retries.
    pub ask: String,
    /// The process that asks, if it is another one than the owner's.
    pub asker: Option<i64>,
}

/// What became of an update, for those who wait for it.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateNews {
    /// The request id of the update.
    pub update_id: String,
    /// The ask that it answers. `None`: it is for all who wait.
    pub ask: Option<String>,
    /// The other processes that have asked.
    pub askers: Vec<i64>,
    /// What became of it.
    pub state: UpdateState,
}

/// How far an update is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// The execution has accepted no update of this id, and this ask brings none.
    Unknown,
    /// Too many updates are open, or were accepted.
    TooMany,
    /// No handler takes it, or its validator panicked: in these words.
    Refused(String),
    /// Its validator returned this error.
    Rejected(FailureRecord),
    /// It is durable, and its handler has not ended.
    Accepted,
    /// Its handler has ended.
    Completed(UpdateOutcome),
    /// The execution has ended before its handler.
    Aborted,
    /// An earlier run of the chain has accepted it: the one with this run id. Its history has the outcome.
    Earlier(String),
}

impl UpdateState {
    /// Whether it answers one ask only: nothing of the update is recorded.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Unknown | Self::TooMany | Self::Refused(_) | Self::Rejected(_))
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
        /// The failure.
        failure: FailureRecord,
        /// Whether a retry may succeed.
        retryable: bool,
        /// The wait that the failure asks for, instead of the policy's.
        retry_after: Option<Duration>,
        /// What the last heartbeat told, of this attempt or of one before it. The next attempt gets it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<Payload>,
    },
    /// It ended because its cancellation token was cancelled.
    Cancelled,
}

impl AttemptOutcome {
    /// The same outcome. A failure that says nothing of heartbeats has these details.
    pub fn or_details(mut self, told: Option<Payload>) -> Self {
        if let Self::Failed { details, .. } = &mut self {
            *details = details.take().or(told);
        }
        self
    }
}

/// An action to perform once the turn's append is durable.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most are starts: a box would cost each of them an allocation")]
pub enum Action {
    /// Run an attempt.
    Start(ActivityStart),
    /// Ask the attempt to stop.
    Cancel(Stop),
    /// Leave the attempt alone; its result is discarded.
    Abandon(EventId),
    /// This attempt has ended an activity that the owner runs itself, and that has a row in the database.
    #[allow(missing_docs)] // as its line says
    Ended { activity: EventId, attempt: u32 },
}

/// An attempt whose result is no longer needed.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// The activity's id in its execution.
    pub activity: EventId,
    /// From 1.
    pub attempt: u32,
    /// Where it runs.
    pub runs: Runs,
    /// Whether the execution waits for its end.
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
    /// The earliest start (back-off).
    pub not_before_ms: Option<i64>,
    /// What the last heartbeat of the attempts before it told.
    pub details: Option<Payload>,
}

/// The state of an execution after a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It waits for inputs.
    Open,
    /// It ended. The closing event is the last event of the turn.
    Closed,
    /// It cannot go on.
    Suspended(Suspension),
}

/// What an open execution waits for, as its row must say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// An attempt runs in the owner, or is about to. If the owner dies, the execution is due at once.
    pub active: bool,
    /// When it is due by itself: at the next timer, or at the end of a back-off while nothing is active. At once, if an
    /// attempt was asked to stop during its back-off: only this owner knows that it has stopped (PROTOCOL 17).
    pub wake_at_ms: Option<i64>,
}

/// The result of a turn.
#[derive(Debug)]
pub struct Turn {
    /// The number of the first event.
    pub seq: EventId,
    /// The time of the turn. It is never before the time of the last turn.
    pub at_ms: i64,
    /// The events to append. May be empty.
    pub events: Vec<Event>,
    /// The actions to perform after the append.
    pub actions: Vec<Action>,
    /// The children that the append inserts.
    pub births: Vec<Birth>,
    /// How the append changes the stored failed attempts. May be the only content of the append.
    pub attempts: Vec<AttemptChange>,
    /// The failed attempts, for the log.
    pub failures: Vec<AttemptFailure>,
    /// What became of updates, for those who wait. To be told when the append is durable.
    pub updates: Vec<UpdateNews>,
    /// The items that the append publishes, each behind its event.
    pub published: Vec<PublishedItem>,
    /// The state of the execution.
    pub standing: Standing,
    /// The run has failed, and the next attempt of its workflow is to begin at this time (PROTOCOL 66).
    pub next_attempt_ms: Option<i64>,
    /// Inputs that a suspended execution could not deliver. The caller keeps them until it resumes.
    pub undelivered: Vec<Input>,
}

impl Turn {
    /// Names the run that goes on, in the closing event of a turn that ends as another run is to go on for it.
    /// Other turns stay as they are.
    pub fn hand_on(&mut self, to: NextRun) {
        if !self.hands_on() {
            return;
        }
        if let Some(Event::ContinuedAsNew { next, .. } | Event::Failed { next, .. }) = self.events.last_mut()
        {
            *next = Some(to);
        }
    }

    /// Whether another run is to go on.
    pub fn hands_on(&self) -> bool {
        match self.events.last() {
            Some(Event::ContinuedAsNew { .. }) => true,
            Some(Event::Failed { .. }) => self.next_attempt_ms.is_some(),
            _ => false,
        }
    }
}
