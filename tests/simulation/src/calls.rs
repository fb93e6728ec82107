//! The clients' calls and answers: the oracle checks the histories against these acknowledgements.

use crate::scenario::{Brings, Conflict, Reuse};
use crate::value::{Output, Progress, ScriptFailed};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All answered calls of a simulation, in the order of their answers. Shared by its clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Call>>>);

/// One call, repeated under one request id until the answer was certain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) actor: usize,
    pub(crate) workflow_id: String,
    /// The run that it was for. `None`: the newest one.
    pub(crate) run_id: Option<String>,
    pub(crate) what: Asked,
    /// How often it was made.
    pub(crate) tries: u32,
    pub(crate) answer: Answer,
}

/// The operation that was called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Start {
        request: String,
        reuse: Reuse,
        conflict: Conflict,
    },
    StartWith {
        request: String,
        n: u64,
        brings: Brings,
        own: bool,
    },
    Poke {
        request: String,
        n: u64,
    },
    Visit {
        request: String,
        n: u64,
    },
    /// An update, whose handler awaits an activity if it `weighs`.
    Count {
        request: String,
        n: u64,
        weighs: bool,
    },
    Query,
    Cancel {
        request: String,
    },
    Terminate {
        request: String,
    },
    Result,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The start returned this run.
    Started {
        run_id: String,
    },
    /// The message is durable.
    Taken,
    /// The result of an update.
    Counted(u64),
    /// The validator of an update has refused it.
    Rejected,
    Progress(Progress),
    Ended(End),
    /// The call was refused permanently.
    Refused {
        code: String,
        text: String,
    },
}

/// How a run ended, according to `result()`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Completed(Output),
    Failed { error: ScriptFailed, compensations: usize },
    Cancelled { compensations: usize },
    Terminated,
    TimedOut,
    Suspended { code: String, message: String },
    Other(String),
}

impl Calls {
    pub(crate) fn add(&self, call: Call) {
        self.lock().push(call);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// The request id of a signal or a cancellation, as a history keeps it.
    pub(crate) fn message(&self) -> Option<&str> {
        match self {
            Self::Poke { request, .. } | Self::Visit { request, .. } | Self::Cancel { request } => {
                Some(request)
            }
            _ => None,
        }
    }

    /// The request id of a message that changes a run.
    pub(crate) fn request(&self) -> Option<&str> {
        match self {
            Self::Count { request, .. } => Some(request),
            _ => self.message(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, workflow_id, run_id, what, tries, answer } = self;
        write!(f, "actor {actor}: {what:?} of {workflow_id}")?;
        run_id.iter().try_for_each(|run_id| write!(f, " (run {run_id})"))?;
        if *tries > 1 {
            write!(f, ", asked {tries} times")?;
        }
        write!(f, ": {answer:?}")
    }
}
