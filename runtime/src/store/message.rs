//! Messages: inbox rows on their way to an execution, and replies on their way back to another process.

use super::error::StoreFuture;
use abide_core::{ExecutionId, Incarnation};
use serde_json::Value;

/// The table of kinds: a line for each, with the number that is stored.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)*) => {
        /// What an inbox row is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum MessageKind {
            $($(#[$doc])* $kind,)*
            /// Of a newer release. It stays in the inbox, wakes no worker and delays no close.
            Newer(i64),
        }

        impl MessageKind {
            /// The number in the database.
            pub(crate) const fn code(self) -> i64 {
                match self {
                    $(Self::$kind => $code,)*
                    Self::Newer(code) => code,
                }
            }

            /// The kind of a stored number.
            pub(crate) const fn from_code(code: i64) -> Self {
                match code {
                    $($code => Self::$kind,)*
                    code => Self::Newer(code),
                }
            }
        }
    };
}

kinds! {
    /// Body: the client's, to be journalled as `Signaled`.
    Signal = 0,
    /// Body: the client's, to be journalled as `CancelRequested`.
    Cancel = 1,
    /// A query asked from another process; answered by a [`Reply`] and consumed without an event.
    Query = 2,
    /// Written by the store only: the execution was terminated from outside while owned. The owner drops the live
    /// execution, then consumes the row by an append with `n` 0 and `release`.
    Terminated = 3,
    /// The outcome of an attempt that ended elsewhere, by the database's time, with a user's transaction, or
    /// while its execution had no owner (it was suspended).
    Attempt = 4,
    /// Body: an ask of a client, by its own id: an update, or a look at one (PROTOCOL 43). Answered by a
    /// [`Reply`]; journalled as `UpdateAccepted` if it is accepted.
    Update = 5,
    /// What became of a command that its commit can refuse, in the inbox of who asked (PROTOCOL 33).
    Answer = 6,
    /// The run is to end as terminated. The worker that owns or claims it writes the end before any code of it
    /// runs, also of a suspended run (PROTOCOL 40). Body: [`TerminateBody`](crate::wire::TerminateBody).
    Terminate = 8,
    /// The end of a child, in the inbox of its parent (PROTOCOL 54).
    ChildEnded = 7,
}

impl MessageKind {
    /// Whether it is an input that its run must take in before it may close (PROTOCOL 38): an answer to a run that
    /// closes is not needed, and the other kinds are for its worker. In SQL: [`input_kinds`].
    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn is_input(self) -> bool {
        match self {
            Self::Signal | Self::Cancel | Self::Attempt | Self::Update => true,
            Self::Query
            | Self::Terminated
            | Self::Answer
            | Self::ChildEnded
            | Self::Terminate
            | Self::Newer(_) => false,
        }
    }

    /// Whether it moves to the next run of a chain (PROTOCOL 38). In SQL: [`moving_kinds`].
    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn moves(self) -> bool {
        matches!(self.code(), 0 | 1 | 2 | 5 | 8 | 9)
    }

    /// Whether this release knows it. In SQL: [`known_kinds`].
    #[cfg(any(test, feature = "testing"))]
    pub(crate) const fn is_known(self) -> bool {
        !matches!(self, Self::Newer(_))
    }
}

/// [`MessageKind::is_input`] in SQL, of a column `kind`.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! input_kinds {
    () => {
        "IN (0, 1, 4, 5)"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use input_kinds;

/// [`MessageKind::is_known`] in SQL, of a column `kind`.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! known_kinds {
    () => {
        "IN (0, 1, 2, 3, 4, 5, 6, 7, 8)"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use known_kinds;

/// The kinds that move to the next run of a chain, in SQL, of a column `kind` (PROTOCOL 38): what users send, a
/// query, an end from a parent or an operator. Outcomes and answers of the run itself do not: the next run would take
/// them for its own.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! moving_kinds {
    () => {
        "IN (0, 1, 2, 5, 8, 9)"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use moving_kinds;

/// A message to be put into an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMessage {
    /// To whom.
    pub(crate) execution: ExecutionId,
    /// What it is.
    pub(crate) kind: MessageKind,
    /// Its dedup key within the execution's inbox: a client's request id, or made of the sender's execution and
    /// event number. The owner drops a row whose request id its history holds already: the store looks into
    /// the journal only where the execution is closed.
    pub(crate) request_id: String,
    /// JSON, by convention of the kind.
    pub(crate) body: String,
    /// Now, on the store's clock.
    pub(crate) at_ms: i64,
}

/// One row of an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InboxRow {
    /// Its key, for [`Append::consumed`](super::Append::consumed).
    pub(crate) id: i64,
    /// Whose inbox.
    pub(crate) execution: ExecutionId,
    /// What it is.
    pub(crate) kind: MessageKind,
    /// The dedup key.
    pub(crate) request_id: String,
    /// JSON.
    pub(crate) body: String,
    /// When it was sent.
    pub(crate) at_ms: i64,
}

/// What became of a message or a terminate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendAnswer {
    /// It is durable.
    Sent,
    /// This request id was sent before; nothing was added.
    Known,
    /// The execution is closed (AB0407).
    Closed,
    /// No such execution (AB0406).
    NoSuchExecution,
}

/// An answer for another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The request it answers.
    pub(crate) request_id: String,
    /// JSON, by convention of the request.
    pub(crate) body: String,
    /// How far the request has come. An answer takes the place of one of an earlier stage only (PROTOCOL 93).
    pub(crate) stage: i16,
    /// When it may be forgotten.
    pub(crate) expires_at_ms: i64,
    /// The process that asked, by its [`Store::block`](super::Store::block): it alone is told that the reply is there.
    /// `None`: the request does not say (an older release wrote it), and all clients look. It is not kept.
    pub(crate) asker: Option<i64>,
}

/// Messages to executions, and replies to other processes.
pub(crate) trait Inbox: Send + Sync {
    /// Puts a message into an open execution's inbox, once per request id.
    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer>;

    /// The inbox rows of everything `owner` owns, in the order they were sent.
    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>>;

    /// Queries that wait for executions without an owner (closed or suspended ones), of these queues and types.
    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>>;

    /// Deletes inbox rows that were dealt with outside of any append: answered queries.
    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()>;

    /// Keeps an answer for another process until `expires_at_ms` (PROTOCOL 26). The first answer stays.
    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()>;

    /// Reads an answer that others may read too: that of an update (PROTOCOL 46).
    fn read_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>>;

    /// Takes an answer out, if it is there.
    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>>;
}

/// Whether a journal has taken in a message of this kind under this request id (PROTOCOL 94). `bodies` are
/// the rows' events as JSON; an event tells by its own field, never by its text: a payload may hold any text.
pub(crate) fn took_in<'b>(
    bodies: impl IntoIterator<Item = &'b str>,
    kind: MessageKind,
    request_id: &str,
) -> bool {
    let (event, carried_as) = match kind {
        MessageKind::Signal => ("signaled", "signal"),
        MessageKind::Cancel => ("cancel_requested", "cancel"),
        // Clients look for the id of an update, and each of their asks has its own.
        MessageKind::Query
        | MessageKind::Terminated
        | MessageKind::Attempt
        | MessageKind::Update
        | MessageKind::Answer
        | MessageKind::ChildEnded
        | MessageKind::Terminate
        | MessageKind::Newer(_) => return false,
    };
    let is_event =
        |found: &Value| found.get(event).and_then(|it| it.get("request_id")?.as_str()) == Some(request_id);
    // What earlier runs of the chain have taken in is in the start of this one (PROTOCOL 61).
    let is_id = |known: &Value| {
        known.get("kind").and_then(Value::as_str) == Some(carried_as)
            && known.get("id").and_then(Value::as_str) == Some(request_id)
    };
    let is_carried = |found: &Value| {
        let known = found.pointer("/started/context/carried/known").and_then(Value::as_array);
        known.is_some_and(|known| known.iter().any(is_id))
    };
    let events = |body: &str| serde_json::from_str::<Vec<Value>>(body).unwrap_or_default();
    bodies.into_iter().any(|body| events(body).iter().any(|found| is_event(found) || is_carried(found)))
}

/// What a row's text holds that [`took_in`] can find: rows without it need not be looked at.
pub(crate) fn request_text(request_id: &str) -> String {
    Value::from(request_id).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::{Carried, CarriedId, CarriedKind, Event, Payload, StartContext};

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[test]
    fn the_kinds_in_statements_are_those_of_the_enum() {
        let known = || (0..100).map(MessageKind::from_code).filter(|kind| kind.is_known());
        let inputs: Vec<_> =
            known().filter(|kind| kind.is_input()).map(|kind| kind.code().to_string()).collect();
        assert_eq!(input_kinds!(), format!("IN ({})", inputs.join(", ")));
        let moving: Vec<_> = (0..100).map(MessageKind::from_code).filter(|kind| kind.moves()).collect();
        let moving: Vec<_> = moving.iter().map(|kind| kind.code().to_string()).collect();
        assert_eq!(moving_kinds!(), format!("IN ({})", moving.join(", ")));
        let known: Vec<_> = known().map(|kind| kind.code().to_string()).collect();
        assert_eq!(known_kinds!(), format!("IN ({})", known.join(", ")));
    }

    #[test]
    fn a_request_is_known_by_its_event_and_kind_alone() {
        let payload =
            r#"[{"signaled":{"name":"note","input":[{"request_id":"order-7"}],"request_id":"s1"}}]"#;
        let cancel =
            r#"[{"timer_fired":{"timer":3}},{"cancel_requested":{"request_id":"c\u00e9","reason":"r"}}]"#;
        let took = |kind, id| took_in([payload, "not JSON", cancel], kind, id);
        assert!(took(MessageKind::Signal, "s1"));
        assert!(!took(MessageKind::Signal, "order-7"), "text of a payload");
        assert!(!took(MessageKind::Cancel, "s1"), "another kind");
        assert!(took(MessageKind::Cancel, "c\u{e9}"));
        assert!(payload.contains(&request_text("s1")));
    }

    #[test]
    fn a_request_is_known_by_the_start_of_a_run_that_another_went_before() {
        let known = vec![CarriedId { kind: CarriedKind::Signal, id: "s\u{e9}".to_owned(), at_ms: 1 }];
        let carried = Carried { known, ..Carried::default() };
        let context = Box::new(StartContext { carried, ..StartContext::default() });
        let started = Event::Started { input: Payload::null(), seed: 1, rules: 0, early: 0, context };
        let body = serde_json::to_string(&[started]).unwrap();
        assert!(body.contains(&request_text("s\u{e9}")));
        let took = |kind, id| took_in([body.as_str()], kind, id);
        assert!(took(MessageKind::Signal, "s\u{e9}"));
        assert!(!took(MessageKind::Cancel, "s\u{e9}") && !took(MessageKind::Signal, "signal"));
    }
}
