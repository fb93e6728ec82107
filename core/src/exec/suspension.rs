//! Why an execution cannot go on: the reason of its suspension, in words that tell a person what to do.
//!
//! The words contain positions, names, kinds and lengths. Recorded values and the values of the code may be
//! personal data, and a reason goes into logs and lists. Values are kept beside the words, for callers that
//! ask for them.

use crate::code::Code;
use crate::ids::EventId;
use crate::payload::{Payload, PayloadError};
use crate::site::Site;
use crate::text::bounded;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason of a suspension. Its text begins with its code. `docs/errors/` has a page for each code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// `AB02xx`.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
    /// Where in the workflow's code, if known: `src/orders.rs:42:9 charge(order.payment)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The values that the message is about, cut to 200 characters each. They are not part of the message and
    /// never stored.
    #[serde(skip)]
    pub values: Option<String>,
}

/// The most characters shown of a value, where values are shown.
pub(super) const SHOWN_CHARS: usize = 200;

/// The beginning of a value's JSON, for callers that have asked to see values.
pub fn shown(value: &Payload) -> String {
    let json = value.as_json();
    let short: String = json.chars().take(SHOWN_CHARS).collect();
    let dots = if short.len() < json.len() { ".." } else { "" };
    format!("{short}{dots}")
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.site {
            Some(site) => write!(f, "{}: at {site}: {}", self.code, self.message),
            None => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

impl Suspension {
    /// A reason with this code. Its message is bounded to 8 KiB.
    pub fn new(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { code: code.into(), message: bounded(message), site: None, values: None }
    }

    /// The message, with the values if `values` is set.
    pub fn told(&self, values: bool) -> String {
        match self.values.as_ref().filter(|_| values) {
            Some(values) => format!("{}. {values}", self.message),
            None => self.message.clone(),
        }
    }

    fn about(mut self, what: &str, value: &Payload) -> Self {
        self.values = Some(format!("{what}: {}", shown(value)));
        self
    }

    pub(crate) fn at(mut self, site: Option<&'static Site>) -> Self {
        self.site = site.map(bounded);
        self
    }

    pub(crate) fn foreign_await(site: &'static Site) -> Self {
        Self::new(
            Code::NeverWoken,
            "it awaited a future that the engine does not own, so nothing recorded can wake it. \
             I/O, a channel or a task belongs into an `#[activity]`; a timer is `workflow::sleep`",
        )
        .at(Some(site))
    }

    pub(crate) fn stuck(site: Option<&'static Site>) -> Self {
        Self::new(
            Code::NeverWoken,
            "it waits, but no activity, timer, signal or condition is open that could ever wake it",
        )
        .at(site)
    }

    /// Nothing is left that can change a condition of `until!`.
    pub(crate) fn unchangeable(site: &'static Site) -> Self {
        Self::new(
            Code::NeverWoken,
            "it waits for a condition that nothing can change: no signal handler reaches it, and no activity or timer \
             is open. Passing time does not ask a condition again: wait with `workflow::sleep`, or limit the wait by \
             `.timeout(..)`",
        )
        .at(Some(site))
    }

    /// Nothing is left that can end the wait for a permit, a lock or a channel.
    pub(crate) fn never_given_back(site: Option<&'static Site>) -> Self {
        Self::new(
            Code::NeverWoken,
            "it waits for a permit, a lock or a channel of its own, and everything else has ended or waits as well: \
             nothing can give back the permit or lock, and nothing can send or receive. Look for a guard that is kept \
             (in the state, or by the task that waits), for two tasks that lock in different order, and for an end of \
             a channel that is kept and not used",
        )
        .at(site)
    }

    pub(crate) fn panicked(message: &str, site: Option<&'static Site>) -> Self {
        // An engine panic on misuse carries its own code.
        let own = [Code::HiddenAwait, Code::OutsideWorkflow, Code::AwaitedAgain];
        match Code::split(message).filter(|(code, _)| own.contains(code)) {
            Some((code, told)) => Self::new(code, told),
            None => Self::new(
                Code::Panicked,
                format!(
                    "its code panicked: {message}. Nothing is lost: deploy a fix, and a worker of the \
                         new build takes it up"
                ),
            ),
        }
        .at(site)
    }

    /// `by` panicked while it made the state. Without a context, calls that need one panic with that reason.
    pub(crate) fn stateless(by: &str, message: &str) -> Self {
        match Code::split(message) {
            Some((Code::OutsideWorkflow, told)) => {
                let help = "let `run` call it, and keep the result in the state";
                Self::new(
                    Code::OutsideWorkflow,
                    format!("{by} runs before the workflow begins: {told}; {help}"),
                )
            }
            _ => Self::panicked(&format!("in {by}: {message}"), None),
        }
    }

    /// `recorded`: the value that does not decode, if it is a single value.
    pub(crate) fn undecodable(what: &str, error: &PayloadError, recorded: Option<&Payload>) -> Self {
        let reason = Self::new(Code::Undecodable, format!("{what} does not decode as today's type: {error}"));
        match recorded {
            Some(recorded) => reason.about("Recorded", recorded),
            None => reason,
        }
    }

    pub(crate) fn unhandled(kind: &str, name: &str, input: &Payload) -> Self {
        let message = format!(
            "{kind} `{name}` was handled when it came, but today's code has no handler that takes its recorded input"
        );
        Self::new(Code::Undecodable, message).about("Recorded", input)
    }

    /// The worker has no such activity.
    pub fn unknown_activity(name: &str) -> Self {
        let register = match name.split_once('.') {
            Some((host, _)) => format!("register the value that has it with `.activities({host} {{ .. }})`"),
            None => format!("register it with `.activity({name})`"),
        };
        Self::new(
            Code::UnknownActivity,
            format!("it calls activity `{name}`, which this worker does not have: {register}"),
        )
    }

    pub(crate) fn too_long(events: u64, bytes: usize, site: Option<&'static Site>) -> Self {
        let message = format!(
            "its history has {events} events and {} MiB: the limit is 51,200 events or 50 MiB. Code that ends a run \
             in time goes on without an end: `if workflow::info().should_continue_as_new() {{ return \
             workflow::continue_as_new(..).await; }}`. This run can only be cancelled or terminated",
            bytes / (1024 * 1024)
        );
        Self::new(Code::HistoryTooLong, message).at(site)
    }

    pub(crate) fn uncompensated() -> Self {
        Self::new(
            Code::Uncompensated,
            "it goes on as a new run while compensations are registered: the next run does not know them, and they \
             would never run. End the saga before: `saga.compensate()` runs them, and `saga.forget()` drops them",
        )
    }

    pub(crate) fn too_much_carried(bytes: usize) -> Self {
        let message = format!(
            "it goes on as a new run with {bytes} bytes of signals that no handler took, requests and ids: the next \
             run can take over 2 MiB (2,097,152 bytes). Add a handler for these signals, or terminate the run"
        );
        Self::new(Code::TooMuchCarried, message)
    }

    pub(crate) fn other_workflow(from: &str, to: &str) -> Self {
        let message = format!(
            "a handler or a spawned task of workflow `{from}` goes on as a run of workflow `{to}`: only `run` may, \
             because only there the compiler has checked that both return the same type"
        );
        Self::new(Code::OtherWorkflow, message)
    }

    /// A replay that only looks has gone on beyond the end of the history.
    pub(crate) fn beyond(last: EventId, site: Option<&'static Site>) -> Self {
        let message =
            format!("history and code differ: the history ends at event {last}, and the code goes on");
        Self::new(Code::Mismatch, message).at(site)
    }

    pub(crate) fn damaged(at: EventId) -> Self {
        Self::new(
            Code::Damaged,
            format!(
                "its journal is damaged at event {at}: its rows do not join up, or do not begin with the start"
            ),
        )
    }
}

impl Suspension {
    /// Early signals that the start has counted are in neither the journal nor the inbox.
    pub(crate) fn lost_signals(left: u32) -> Self {
        let message = format!(
            "its journal is damaged: {left} signals that were acknowledged before its first turn are in neither its \
             journal nor its inbox. Restore the rows of its inbox and resume it, or terminate it"
        );
        Self::new(Code::Damaged, message)
    }
}
