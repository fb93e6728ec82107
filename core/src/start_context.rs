//! What a run begins with besides its input.

use crate::carried::Carried;
use crate::payload::Payload;
use crate::policy::{MIN_WAIT, RetryPolicy, millis};
use crate::queueing::Priority;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a run begins with besides its input. Until the first turn is durable, the run's row holds it; then its
/// `Started` event does. Empty for a run that a client started plainly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartContext {
    /// The run that started this one as its child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// How many parents are above it. 0: it is no child.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// What the run before it in its chain has handed on.
    #[serde(skip_serializing_if = "Carried::is_empty")]
    pub carried: Carried,
    /// The slot of the schedule that started its chain, in ms since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_at_ms: Option<i64>,
    /// How long each run of its chain may take, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_timeout_ms: Option<i64>,
    /// Whether another run follows where this one fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// How many runs before it have failed, and were followed by another for that.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_runs: u32,
    /// The priority of its activities and children that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Messages that were sent together with the start. The run records them as events of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<FirstMessage>,
}

/// A message that was sent together with the start of its run (PROTOCOL 42).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstMessage {
    /// A signal.
    Signal {
        /// The handler's name.
        name: String,
        /// Its encoded arguments.
        input: Payload,
        /// The sender's id of this request.
        request_id: String,
    },
    /// An update.
    Update {
        /// The request id of the update.
        update_id: String,
        /// The handler's name.
        name: String,
        /// Its encoded arguments.
        input: Payload,
        /// The id of this ask.
        ask: String,
        /// The process that asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asker: Option<i64>,
    },
}

impl StartContext {
    /// What stays of it in the event of the start: the messages become events of their own.
    pub(crate) fn without_messages(self) -> Self {
        Self { carried: self.carried.without_messages(), first: Vec::new(), ..self }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Which attempt of its workflow the run is, from 1.
    pub fn attempt(&self) -> u32 {
        self.failed_runs.saturating_add(1)
    }

    /// When the next attempt of the workflow begins, if this run ends now and `chain_by_ms` is the end of its chain's
    /// time. `asked`: the wait that the error asks for. `None`: this attempt is the last (PROTOCOL 66).
    pub fn next_attempt_ms(
        &self,
        asked: Option<Duration>,
        now_ms: i64,
        chain_by_ms: Option<i64>,
    ) -> Option<i64> {
        let wait = self.retry.as_ref()?.delay_after(self.attempt())?;
        let wait = asked.filter(|asked| *asked >= MIN_WAIT).unwrap_or(wait);
        let due_ms = now_ms.saturating_add(millis(wait));
        chain_by_ms.is_none_or(|end_ms| due_ms < end_ms).then_some(due_ms)
    }

    /// The next attempt: it begins with the same input, and with what is carried.
    pub(crate) fn next_attempt(self, input: Payload, carried: Carried, due_ms: i64) -> NextAttempt {
        let failed_runs = if mutant!(RetryWithoutEnd) { self.failed_runs } else { self.attempt() };
        NextAttempt { due_ms, input, context: Self { carried, failed_runs, ..self } }
    }

    /// The bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let parent = |parent: &Parent| parent.workflow_id.len() + parent.run_id.len();
        self.parent.as_ref().map_or(0, parent) + self.carried.bytes()
    }
}

/// The next attempt of a workflow, after a run that has failed or whose time is up.
#[derive(Clone, Debug, PartialEq)]
pub struct NextAttempt {
    /// When it begins.
    pub due_ms: i64,
    /// Its arguments: those of the attempt before.
    pub input: Payload,
    /// What it begins with besides.
    pub context: StartContext,
}

/// The run that started a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parent {
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
}

impl Parent {
    /// The parent of these ids.
    pub fn new(workflow_id: impl Into<String>, run_id: impl Into<String>) -> Self {
        Self { workflow_id: workflow_id.into(), run_id: run_id.into() }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_of_a_start_are_read_back_and_are_not_in_its_event() {
        let signal =
            FirstMessage::Signal { name: "s".to_owned(), input: Payload::null(), request_id: "1".to_owned() };
        let update = FirstMessage::Update {
            update_id: "u".to_owned(),
            name: "add".to_owned(),
            input: Payload::null(),
            ask: "a".to_owned(),
            asker: Some(7),
        };
        let context = StartContext { depth: 1, first: vec![signal, update], ..StartContext::default() };
        let text = serde_json::to_string(&context).unwrap();
        assert_eq!(serde_json::from_str::<StartContext>(&text).unwrap(), context);
        assert_eq!(context.without_messages(), StartContext { depth: 1, ..StartContext::default() });
    }
}
