//! Attempts that no worker runs any more: the holder of a token ends them (PROTOCOL 77).
//!
//! The token names one row, by its key and its nonce. It is valid from the claim of the attempt on, whether its worker
//! has handed the attempt out yet or not. The write that deletes the row decides the attempt, as for every task.

use super::error::StoreFuture;
use super::task::TaskKey;
use abide_core::Incarnation;

/// An attempt that its worker hands out. From then on the store keeps its limits.
#[derive(Clone, Debug)]
pub(crate) struct HandOut {
    /// Which attempt.
    pub(crate) key: TaskKey,
    /// How long from now it may still take (start-to-close).
    pub(crate) end_in_ms: Option<i64>,
    /// How long from now its next heartbeat may take, and each one after that.
    pub(crate) beat_in_ms: Option<i64>,
    /// What its body told by its last heartbeat, JSON. `None`: nothing new.
    pub(crate) details: Option<String>,
}

/// What became of a heartbeat by token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenBeat {
    /// It is noted.
    Kept,
    /// It is noted. The workflow asks the attempt to stop, and waits for its end.
    Cancelled,
    /// There is no such attempt any more.
    Void,
}

/// The body with the details that a row has, JSON.
#[cfg(any(feature = "sqlite", feature = "testing"))]
pub(super) fn with_details(mut body: String, details: Option<&str>) -> String {
    if let Some(details) = details
        && body.pop() == Some('}')
    {
        body = format!(r#"{body},"details":{details}}}"#);
    }
    body
}

/// Attempts whose end a token decides.
pub(crate) trait Handed: Send + Sync {
    /// The worker that has claimed the attempt leaves its end to the holder of its token, fenced. False: it was decided
    /// otherwise, or is handed out already, and nothing was written.
    fn hand_out(&self, owner: Incarnation, out: HandOut) -> StoreFuture<'_, bool>;

    /// Ends an attempt by its token: its row goes, and its outcome comes into the inbox. `body`:
    /// an [`AttemptBody`](super::AttemptBody) as JSON, without details; those of the row go with it. False: it was
    /// decided otherwise, and nothing was written.
    fn end_by_token(&self, key: TaskKey, body: String) -> StoreFuture<'_, bool>;

    /// Notes a heartbeat by token. `details`: JSON.
    fn beat_by_token(&self, key: TaskKey, details: String) -> StoreFuture<'_, TokenBeat>;
}
