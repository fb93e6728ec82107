//! What the protocol decides, apart from any database: stores lock, encode and execute what is decided here.
//!
//! Pure functions of rows that a store has read and of what a caller asks: [`start`] (id policies), [`end`]
//! (terminate, resume, replace), [`death`] (who is dead, take-over), [`row`] (what an append does to its
//! execution's row), [`send`] (what a sender is answered), [`outcome`] (the inbox row of an ended attempt),
//! [`park`] (which messages wait apart), [`dispatch`] (messages to workflows that the commit finds), [`with`] (starts
//! that bring messages), [`limit`] (which tasks of a queue with limits or keys are next), [`guard`] (what a batch locks
//! first), [`sections`] (the parts of its statement), [`notices`] (whom to notify after a commit). Nothing
//! here knows SQL, except for the fragments that the dialects share.

mod death;
mod dispatch;
mod end;
mod family;
#[cfg(any(feature = "postgres", feature = "testing"))] // SQLite has one writer and one lock
mod guard;
mod limit;
mod notices;
mod outcome;
mod park;
mod row;
mod schedule;
#[cfg(any(feature = "sqlite", feature = "postgres"))] // the memory store needs no text
mod sections;
mod send;
mod start;
mod with;

#[cfg(any(feature = "postgres", feature = "testing"))]
pub(super) use death::{Seen, Suspects, judge};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use death::{left_columns, taken_over_columns};
pub(super) use dispatch::{Receivers, addresses};
pub(super) use end::{OutsideEnd, TOLD, remembered, terminates};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use end::{end_columns, end_deletes, resume_columns};
pub(super) use family::{PARENT_CLOSED, PARENT_CLOSED_BODY, SLICE, TERMINATED_END};
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(super) use guard::{Guarded, Locks, StartName, start_names};
pub(super) use limit::{Candidate, CandidateTask, GROUPS_AT_ONCE, LimitRow, Rooms, pick};
pub(super) use notices::{Concerned, Notices};
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(super) use notices::{Ended, Notify, Receiver};
#[cfg(feature = "postgres")]
pub(super) use outcome::attempt_id;
#[cfg(any(feature = "sqlite", feature = "testing"))]
pub(super) use outcome::attempt_request_id;
#[cfg(feature = "testing")]
pub(super) use outcome::outcome_body;
pub(super) use outcome::outcome_json;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use outcome::outcome_row;
#[cfg(feature = "testing")]
pub(super) use park::parks;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use park::{parkable_kinds, parking_statuses, parks_sql};
#[cfg(feature = "testing")]
pub(super) use row::Recovered;
pub(super) use row::{NewRow, RowWrite};
pub(super) use schedule::{Birth, ChainEnd, Desk, ask, pass};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use sections::Sections;
pub(super) use send::not_open;
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(super) use start::DECISIONS;
#[cfg(feature = "testing")]
pub(super) use start::allows_reuse;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) use start::reuse_code;
pub(super) use start::{Found, StartDecision};
pub(super) use with::{joined, joined_key, joined_run, joins, messages_to};

/// Rows for the tests of this floor.
#[cfg(test)]
pub(super) mod tests {
    pub(in crate::store) use super::row::tests::new;
}
