//! Messages from a run to another workflow, whose receiver the commit finds.

use super::message::MessageKind;
use abide_core::{EventId, ExecutionId};
use serde::{Deserialize, Serialize};

/// A message that an append sends to another workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dispatch {
    /// The command, which the answer names.
    pub(crate) command: EventId,
    /// To whom.
    pub(crate) to: Address,
    /// What it is.
    pub(crate) kind: MessageKind,
    /// JSON, by convention of the kind.
    pub(crate) body: String,
    /// Whether the sender waits for an answer.
    pub(crate) answered: bool,
}

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    /// The open run of this workflow id.
    Name(String),
    /// The open run of a child: the run that this command of `parent` has started, or one that goes on for it.
    Child {
        /// The sender.
        parent: ExecutionId,
        /// The number of its command.
        no: EventId,
    },
}

impl Dispatch {
    /// How many bytes of text it brings.
    pub(crate) fn bytes(&self) -> usize {
        let name = match &self.to {
            Address::Name(name) => name.len(),
            Address::Child { .. } => 0,
        };
        name + self.body.len()
    }
}

/// The body of a [`MessageKind::Answer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerBody {
    /// Why the command was refused. `None`: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// The dedup key of the answer to a command.
pub(crate) fn answer_id(command: EventId) -> String {
    format!("answer/{command}")
}

/// The command that an answer is to.
pub(crate) fn answered_by(request_id: &str) -> Option<EventId> {
    request_id.strip_prefix("answer/")?.parse().ok().map(EventId)
}
