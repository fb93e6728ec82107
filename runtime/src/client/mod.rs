//! The client: starts workflows, sends them messages, waits for them and describes them.
//!
//! A client reaches a worker only through the store, with one exception: if the hub knows a worker of this
//! process that serves or owns the execution, the call goes to it through memory. Its answer is just as
//! durable. Each call carries a request id, so that a repeated call has no further effect (PROTOCOL 6).
//!
//! Reading order: `start`, `with_start` and `first` (messages that go with it), `handle` (typed), `execution` (the code
//! behind it), `request` (signal, cancel, terminate), `update`, `query`, `wait` (results), `describe` and `pending`,
//! `list`, `completion` (of activities, by token), `serving` (whether a worker can run it). The bodies of inbox rows
//! are in [`crate::wire`].

mod completion;
mod describe;
mod execution;
mod first;
mod handle;
mod list;
mod looks;
mod pending;
mod query;
mod request;
mod schedule;
mod serving;
mod start;
mod stream;
mod submit;
mod terms;
mod time;
mod update;
mod wait;
mod with_start;

pub use completion::Completion;
pub use describe::Description;
pub use execution::UntypedHandle;
pub use handle::{Answer, ByClient, Handle, HandleCore, QueryCodec, QueryError, WorkflowHandle};
pub use list::{ExecutionPage, ExecutionSummary, ListCursor, ListFilter};
pub(crate) use looks::Looks;
#[cfg(feature = "testing")]
pub(crate) use pending::journal;
pub use pending::{PendingActivity, PendingChild, PendingTimer};
pub use request::Request;
pub use schedule::{
    IntoStart, ListSchedules, NewSchedule, Schedule, ScheduleCursor, ScheduleDescription, SchedulePage,
    ScheduleSummary, ScheduleUpdate, ScheduledRun,
};
pub use serving::Serving;
pub use start::Start;
pub use stream::{StreamItem, StreamReader};
pub use update::{ById, StartUpdate, Update, UpdateError, UpdateHandle, Updates};
pub use with_start::{Opening, OpeningSignal, OpeningUpdate, WithMessage, WithStart};

use crate::abide::Abide;
use crate::activity::TransactionConnection;
use crate::error::{Error, Result};
use crate::store::{StoreError, UserConnection};
use std::sync::Arc;

/// The greatest length of an id or name, in characters. The same as Temporal's limit.
pub const MAX_ID_CHARS: usize = 1_000;

/// Starts workflows and finds running ones. Cheap to clone; `Send` and `Sync`.
#[derive(Clone)]
pub struct Client {
    abide: Abide,
    queue: Option<Arc<str>>,
}

impl Abide {
    /// Returns a client, which starts workflows and communicates with them.
    pub fn client(&self) -> Client {
        Client { abide: self.clone(), queue: None }
    }
}

impl Client {
    /// Sets a default task queue for this client's starts. Without one, a start goes to the queue of a worker
    /// in this process that serves the workflow.
    #[must_use]
    pub fn task_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.queue = Some(Arc::from(queue.as_ref()));
        self
    }
}

/// Checks an id or name when it is passed in: it must not be empty or too long.
pub(crate) fn check_id(what: &'static str, id: &str) -> Result<()> {
    // The length in bytes is an upper bound of the length in characters, so counting is rarely necessary.
    let chars = if id.len() <= MAX_ID_CHARS { id.len() } else { id.chars().count() };
    match chars {
        1..=MAX_ID_CHARS => Ok(()),
        _ => Err(Error::InvalidId { what, chars }),
    }
}

/// The same for a request id. Ids of the engine's own messages are refused as well (PROTOCOL 41).
fn check_request_id(id: &str) -> Result<()> {
    check_id("request id", id)?;
    match id.starts_with("abide/") {
        true => Err(Error::ReservedId { request_id: id.to_owned() }),
        false => Ok(()),
    }
}

/// Converts a user's connection into the store's type.
fn user_connection<C: TransactionConnection>(connection: &mut C) -> Result<UserConnection<'_>> {
    let unknown = || StoreError::WrongConnection {
        found: std::any::type_name::<C>().to_owned(),
        expected: "a connection of sqlx 0.9".to_owned(),
    };
    Ok(UserConnection::of(connection).ok_or_else(unknown)?)
}

#[cfg(all(test, feature = "testing"))]
mod schedule_tests;
#[cfg(all(test, feature = "sqlite"))]
mod store_tests;

#[cfg(test)]
mod tests {
    use super::{check_id, check_request_id};

    #[test]
    fn ids_have_1_to_1000_characters() {
        assert!(check_id("workflow id", "a").is_ok());
        assert!(check_id("workflow id", &"ä".repeat(1_000)).is_ok());
        assert_eq!(check_id("workflow id", "").unwrap_err().code(), "AB0412");
        assert_eq!(check_id("workflow id", &"ä".repeat(1_001)).unwrap_err().code(), "AB0412");
    }

    #[test]
    fn the_engines_request_ids_are_kept_for_it() {
        assert_eq!(check_request_id("abide/parent-close").unwrap_err().code(), "AB0412");
        assert_eq!(check_request_id("").unwrap_err().code(), "AB0412");
        assert!(check_request_id("abide").is_ok());
        assert!(check_request_id("attempt/7/1").is_ok());
    }
}
