//! Why an execution cannot go on: the reason that it is suspended with, in words a person can act on.

use crate::event::Event;
use crate::guard::Site;
use crate::ids::EventId;
use crate::text::bounded;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The reason of a suspension. Its text begins with its code; `docs/errors/` has a page for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// `AB02xx`.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
    /// Where in the workflow's code, if known: `src/orders.rs:42:9 charge(order.payment)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

impl fmt::Display for Suspension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.site {
            Some(site) => write!(f, ", at {site}"),
            None => Ok(()),
        }
    }
}

impl Suspension {
    /// A reason with this code. Its message is bounded to 8 KiB.
    pub fn new(code: &str, message: impl fmt::Display) -> Self {
        Self { code: code.to_owned(), message: bounded(message), site: None }
    }

    pub(crate) fn at(mut self, site: Option<&'static Site>) -> Self {
        self.site = site.map(bounded);
        self
    }

    pub(crate) fn foreign_await(site: &'static Site) -> Self {
        Self::new(
            "AB0204",
            "it awaited a future that the engine does not own, so nothing recorded can wake it. \
             I/O, a channel or a task belongs into an `#[activity]`; a timer is `workflow::sleep`",
        )
        .at(Some(site))
    }

    pub(crate) fn stuck(site: Option<&'static Site>) -> Self {
        Self::new(
            "AB0204",
            "it waits, but no activity, timer, signal or condition is open that could ever wake it",
        )
        .at(site)
    }

    /// A condition of `until!` that nothing is left to change.
    pub(crate) fn unchangeable(site: &'static Site) -> Self {
        Self::new(
            "AB0204",
            "it waits for a condition that nothing can change: no signal handler reaches it, and no activity or timer \
             is open. Passing time does not ask a condition again: wait with `workflow::sleep`, or limit the wait by \
             `.timeout(..)`",
        )
        .at(Some(site))
    }

    pub(crate) fn panicked(message: &str, site: Option<&'static Site>) -> Self {
        // An engine panic on misuse carries its own code.
        let code = ["AB0118", "AB0210", "AB0218"].into_iter().find(|code| message.starts_with(code));
        match code {
            Some(code) => Self::new(code, message.trim_start_matches(code).trim_start_matches(": ")),
            None => Self::new(
                "AB0202",
                format!("its code panicked: {message}. Deploy a fix and resume it; nothing is lost"),
            ),
        }
        .at(site)
    }

    /// Its state could not be made: `by` panicked. It has no context, so that what needs one says so.
    pub(crate) fn stateless(by: &str, message: &str) -> Self {
        match message.strip_prefix("AB0210: ") {
            Some(told) => {
                let help = "let `run` call it, and keep the result in the state";
                Self::new("AB0210", format!("{by} runs before the workflow begins: {told}; {help}"))
            }
            None => Self::panicked(&format!("in {by}: {message}"), None),
        }
    }

    pub(crate) fn undecodable(what: &str, error: &dyn fmt::Display) -> Self {
        Self::new("AB0203", format!("{what} does not decode as today's type: {error}"))
    }

    pub(crate) fn unhandled(signal: &str) -> Self {
        let message = format!(
            "signal `{signal}` was handled when it came, but today's code has no handler that takes its recorded input"
        );
        Self::new("AB0203", message)
    }

    /// The worker has no such activity.
    pub fn unknown_activity(name: &str) -> Self {
        let register = match name.split_once('.') {
            Some((host, _)) => format!("register the value that has it with `.activities({host} {{ .. }})`"),
            None => format!("register it with `.activity({name})`"),
        };
        Self::new(
            "AB0207",
            format!("it calls activity `{name}`, which this worker does not have: {register}"),
        )
    }

    pub(crate) fn too_long(events: u64, bytes: usize, site: Option<&'static Site>) -> Self {
        let message = format!(
            "its history has {events} events and {} MiB: the limit is 51,200 events or 50 MiB",
            bytes / (1024 * 1024)
        );
        Self::new("AB0211", message).at(site)
    }

    /// The code of one whose history and code differ.
    pub(crate) const DIFFERS: &str = "AB0201";

    /// A replay that only looks has gone on where the history ends.
    pub(crate) fn beyond(last: EventId, site: Option<&'static Site>) -> Self {
        let message =
            format!("history and code differ: the history ends at event {last}, and the code goes on");
        Self::new(Self::DIFFERS, message).at(site)
    }

    /// The code of [`damaged`](Self::damaged).
    pub(crate) const DAMAGED: &str = "AB0209";

    pub(crate) fn damaged(at: EventId) -> Self {
        Self::new(
            Self::DAMAGED,
            format!(
                "its journal is damaged at event {at}: its rows do not join up, or do not begin with the start"
            ),
        )
    }
}

impl Suspension {
    /// Signals that its start has counted are in neither its journal nor its inbox.
    pub(crate) fn lost_signals(left: u32) -> Self {
        let message = format!(
            "its journal is damaged: {left} signals that were acknowledged before its first turn are in neither its \
             journal nor its inbox. Restore the rows of its inbox and resume it, or terminate it"
        );
        Self::new(Self::DAMAGED, message)
    }
}

/// What stops the executor for good (until it is loaded again).
#[derive(Debug)]
pub(crate) struct Halt(pub(crate) Suspension);

impl Halt {
    pub(crate) fn suspend(suspension: Suspension) -> Self {
        Self(suspension)
    }
}

/// A command that differs from the recorded one.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) at: EventId,
    pub(crate) expected: Event,
    pub(crate) got: Option<Event>,
}

impl Mismatch {
    pub(crate) fn into_suspension(self, site: Option<&'static Site>) -> Suspension {
        let got = self.got.as_ref().map_or_else(|| "nothing more".to_owned(), describe);
        let cause = match (&self.expected, &self.got) {
            (Event::ActivityScheduled { name: a, .. }, Some(Event::ActivityScheduled { name: b, .. }))
                if a == b =>
            {
                "the same activity with another input: a value that changes between runs went into it, or the code \
                 that computes it was changed under this run"
            }
            (_, None) => {
                "a step was removed under this run, or a branch depends on something that is not recorded"
            }
            _ => {
                "steps were added, removed or put in another order under this run, or a branch depends on something \
                 that is not recorded"
            }
        };
        let message = format!(
            "history and code differ: event {} is {}, but the code asked for {got}. Likely cause: {cause}. Deploy \
             code that repeats this history and resume it",
            self.at,
            describe(&self.expected),
        );
        Suspension::new(Suspension::DIFFERS, message).at(site)
    }
}

/// One event in a few words.
pub(crate) fn describe(event: &Event) -> String {
    match event {
        Event::ActivityScheduled { name, input, .. } => {
            let input = input.as_json();
            let short: String = input.chars().take(200).collect();
            let dots = if short.len() < input.len() { ".." } else { "" };
            format!("activity `{name}` with {short}{dots}")
        }
        Event::ActivityCancelRequested { activity } => format!("the cancellation of activity {activity}"),
        Event::TimerStarted { .. } => "a timer".to_owned(),
        Event::TimerCancelled { timer } => format!("the end of timer {timer} before its time"),
        Event::SideEffect { .. } => "a side effect".to_owned(),
        Event::Completed { .. } => "the workflow's completion".to_owned(),
        Event::Failed { .. } => "the workflow's failure".to_owned(),
        Event::Canceled { .. } => "the workflow's cancellation".to_owned(),
        other => format!("{other:?}"),
    }
}
