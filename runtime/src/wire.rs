//! The bodies of inbox rows and reply rows: JSON that clients and owners exchange, also across processes and
//! builds.
//!
//! Fields may be added with a default, but never renamed: rows of an older build may stay in a database for
//! months.

use crate::error::Error;
use abide_core::{ChildEnd, EventId, ExecutionId, FailureRecord, Payload, Site};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The reserved query for where an execution waits. The answer is a list of `AwaitPosition`.
pub(crate) const AWAITING_QUERY: &str = "__abide_awaiting";

/// A query handler's answer: its value or its error, both encoded.
pub(crate) type QueryAnswer = std::result::Result<Payload, FailureRecord>;

/// An await in workflow code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AwaitPosition {
    /// The file, as rustc names it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The awaited expression, as it is written in the source.
    pub text: String,
}

impl From<&Site> for AwaitPosition {
    fn from(site: &Site) -> Self {
        Self { file: site.file.to_owned(), line: site.line, column: site.column, text: site.text.to_owned() }
    }
}

impl fmt::Display for AwaitPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{} `{}`", self.file, self.line, self.column, self.text)
    }
}

/// The body of a `Signal` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignalBody {
    pub(crate) name: String,
    pub(crate) input: Payload,
}

/// The body of a `Cancel` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CancelBody {
    pub(crate) reason: String,
}

/// The body of a `Terminate` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TerminateBody {
    pub(crate) reason: String,
}

/// The body of an `Update` row: an ask (PROTOCOL 43).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UpdateBody {
    pub(crate) update_id: String,
    pub(crate) name: String,
    /// `None`: it only asks how far the update is.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub(crate) input: Option<Payload>,
    /// The process that asks, by its block of ids, if it waits for a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asker: Option<i64>,
}

/// A field that is there, be it `null`: the arguments of an update without any.
fn given<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(field).map(Some)
}

/// The key of the reply about an update. `chain`: the first run of its chain, since another chain may have an
/// update of the same id (PROTOCOL 46).
pub(crate) fn update_key(chain: ExecutionId, update_id: &str) -> String {
    format!("update/{chain}/{update_id}")
}

/// The key of the reply to an ask that was refused.
pub(crate) fn rejected_key(ask: &str) -> String {
    format!("rejected/{ask}")
}

/// The body of a `ChildEnded` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChildEndedBody {
    /// The number of the parent's command.
    pub(crate) child: EventId,
    pub(crate) end: ChildEnd,
}

/// The dedup key of a `ChildEnded` row.
pub(crate) fn child_ended_id(child: EventId) -> String {
    format!("child/{child}")
}

/// The body of a `Query` row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueryBody {
    pub(crate) name: String,
    pub(crate) input: Payload,
    /// The process that asks, by its block of ids: it alone is told of the reply. Older releases write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asker: Option<i64>,
}

/// The body of a reply to a query. Externally tagged, because payloads are raw JSON, which needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplyBody {
    /// The handler's value.
    Value(Payload),
    /// The handler's error.
    Failed(FailureRecord),
    /// The workflow type has no query with this name.
    Unknown { workflow_type: String, query: String },
    /// The handler panicked, or the execution cannot be replayed.
    Refused { query: String, message: String },
}

impl ReplyBody {
    /// The owner's reply to `query`.
    pub(crate) fn of(query: &str, answer: Result<QueryAnswer, Error>) -> Self {
        match answer {
            Ok(Ok(value)) => Self::Value(value),
            Ok(Err(failure)) => Self::Failed(failure),
            Err(Error::UnknownQuery { workflow_type, query }) => Self::Unknown { workflow_type, query },
            Err(Error::QueryFailed { query, message }) => Self::Refused { query, message },
            Err(other) => Self::Refused { query: query.to_owned(), message: other.to_string() },
        }
    }

    /// Converts the reply for the client.
    pub(crate) fn into_answer(self) -> Result<QueryAnswer, Error> {
        match self {
            Self::Value(value) => Ok(Ok(value)),
            Self::Failed(failure) => Ok(Err(failure)),
            Self::Unknown { workflow_type, query } => Err(Error::UnknownQuery { workflow_type, query }),
            Self::Refused { query, message } => Err(Error::QueryFailed { query, message }),
        }
    }
}

/// Encodes a body. Cannot fail: the bodies hold strings and JSON that is already encoded.
pub(crate) fn to_json<T: Serialize>(body: &T) -> String {
    serde_json::to_string(body).expect("strings and encoded payloads always encode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_back_as_they_went() {
        let failure = FailureRecord::new(abide_core::FailureKind::Application, "no");
        let refused = Error::QueryFailed { query: "status".into(), message: "panicked".into() };
        let unknown = Error::UnknownQuery { workflow_type: "Order".into(), query: "status".into() };
        let value = Payload::encode(&3).unwrap();
        for answer in [Ok(Ok(value)), Ok(Err(failure)), Err(refused), Err(unknown)] {
            let sent = ReplyBody::of("status", answer);
            let read: ReplyBody = serde_json::from_str(&to_json(&sent)).unwrap();
            assert_eq!(sent, read);
            let again = ReplyBody::of("status", read.into_answer());
            assert_eq!(sent, again);
        }
    }
}
