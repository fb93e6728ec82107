//! What ends a run from outside, and what lets a suspended one run again.

use crate::status::ExecutionStatus;
use crate::store::execution::{ExecutionRow, NewExecution, ResumeAnswer};
use crate::store::journal::StoredTurn;
use crate::store::message::{Reply, SendAnswer};
use abide_core::{EventId, ExecutionId, Incarnation};

/// How long a terminate's request id is remembered: a day.
const REMEMBER_MS: i64 = 24 * 60 * 60 * 1_000;

/// The closing event of a run that another start replaces, where the start brings none.
const REPLACED: &str = r#"{"terminated":{"reason":"replaced by a new run"}}"#;

/// The dedup key of the inbox row that tells an owner that its run was ended.
pub(crate) const TOLD: &str = "terminated";

/// What is kept of a terminate that was done, by the reply's key: only a request of the same name for the
/// same execution is the same request.
pub(crate) fn remembered(id: ExecutionId, request_id: &str, now_ms: i64) -> Reply {
    let request_id = format!("terminate:{id}:{request_id}");
    Reply { request_id, body: "null".to_owned(), stage: 0, expires_at_ms: now_ms + REMEMBER_MS, asker: None }
}

/// Whether a terminate may end this row; else its answer. `known`: its request was done before.
pub(crate) fn terminates(known: bool, row: Option<ExecutionRow>) -> Result<ExecutionRow, SendAnswer> {
    match row {
        _ if known => Err(SendAnswer::Known),
        None => Err(SendAnswer::NoSuchExecution),
        Some(row) if row.status.is_open() => Ok(row),
        Some(_) => Err(SendAnswer::Closed),
    }
}

/// The end of an open run from outside. Its event goes to the next place of the journal: there the owner's
/// next append meets it and is refused by the key, so no fence is needed. Everything that the run has left
/// (inbox, tasks, failed attempts) is deleted, and then an owner is told by a message of kind
/// [`Terminated`](crate::store::MessageKind::Terminated), [`TOLD`].
pub(crate) struct OutsideEnd<'a> {
    pub(crate) execution: ExecutionId,
    /// The closing event, JSON. Also the row's result.
    pub(crate) event: &'a str,
    pub(crate) at_ms: i64,
    /// The journal row.
    pub(crate) turn: StoredTurn,
}

impl<'a> OutsideEnd<'a> {
    pub(crate) const STATUS: ExecutionStatus = ExecutionStatus::Terminated;

    /// `row` is open.
    pub(crate) fn of(row: &ExecutionRow, event: &'a str, at_ms: i64) -> Self {
        let (seq, body) = (EventId(row.history_len + 1), format!("[{event}]"));
        let turn = StoredTurn { seq, n: 1, at_ms, writer: Incarnation(0), body };
        Self { execution: row.id, event, at_ms, turn }
    }

    /// The end of a run that `new` replaces.
    pub(crate) fn replaced(row: &ExecutionRow, new: &'a NewExecution) -> Self {
        Self::of(row, new.terminate_event.as_deref().unwrap_or(REPLACED), new.created_at_ms)
    }
}

/// What [`OutsideEnd`] sets in the execution's row, in a schema with this prefix: `$1` the execution, `$2` its status,
/// `$3` the event, `$4` now.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! end_columns {
    ($schema:literal) => {
        concat!(
            "status = $2, result = $3, closed_at = $4, wake_at = NULL, active = false, suspension = NULL,
        tried_builds = NULL, trying_builds = NULL, told = true, orphans = EXISTS (SELECT 1 FROM ",
            $schema,
            "execution k WHERE k.parent = $1 AND k.status < 10 AND k.close_policy > 0)"
        )
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use end_columns;

/// The statements by which an end deletes what its run has left: `$1` the execution, in a schema with this prefix.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! end_deletes {
    ($schema:literal) => {
        [
            concat!("DELETE FROM ", $schema, "task WHERE execution = $1"),
            concat!("DELETE FROM ", $schema, "attempt WHERE execution = $1"),
            // A closed run still answers queries.
            concat!("DELETE FROM ", $schema, "inbox WHERE execution = $1 AND kind <> 2"),
        ]
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use end_deletes;

/// What a resume sets in the row of a suspended execution: `$2` is now.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! resume_columns {
    () => {
        "status = 0, owner = NULL, rev = rev + 1, wake_at = $2, crashes = 0, suspension = NULL,
        tried_builds = NULL, trying_builds = NULL"
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use resume_columns;

impl ResumeAnswer {
    /// What a resume is answered, and `Resumed` where its row is to be set.
    pub(crate) fn of(status: Option<ExecutionStatus>) -> Self {
        match status {
            None => Self::NoSuchExecution,
            Some(ExecutionStatus::Suspended) => Self::Resumed,
            Some(status) => Self::NotSuspended(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{new, row};
    use super::*;

    #[test]
    fn a_terminate_is_known_before_anything_else() {
        let answer = |known, status: Option<ExecutionStatus>| terminates(known, status.map(row)).err();
        for status in [None, Some(ExecutionStatus::Running), Some(ExecutionStatus::Failed)] {
            assert_eq!(answer(true, status), Some(SendAnswer::Known));
        }
        assert_eq!(answer(false, None), Some(SendAnswer::NoSuchExecution));
        assert_eq!(answer(false, Some(ExecutionStatus::Completed)), Some(SendAnswer::Closed));
        for open in [ExecutionStatus::Running, ExecutionStatus::Suspended] {
            assert_eq!(answer(false, Some(open)), None);
        }
    }

    #[test]
    fn a_request_is_remembered_for_its_execution_and_a_day() {
        let kept = remembered(ExecutionId(7), "t", 5);
        assert_eq!((kept.request_id.as_str(), kept.expires_at_ms), ("terminate:7:t", 86_400_005));
    }

    #[test]
    fn the_closing_event_comes_next_in_the_journal() {
        let row = ExecutionRow { history_len: 3, ..row(ExecutionStatus::Running) };
        let end = OutsideEnd::of(&row, r#"{"terminated":{}}"#, 9);
        assert_eq!((end.turn.seq, end.turn.n, end.turn.writer), (EventId(4), 1, Incarnation(0)));
        assert_eq!(end.turn.body, r#"[{"terminated":{}}]"#);
        assert_eq!(OutsideEnd::replaced(&row, &new()).event, REPLACED);
    }

    #[test]
    fn only_a_suspended_run_is_resumed() {
        assert_eq!(ResumeAnswer::of(None), ResumeAnswer::NoSuchExecution);
        assert_eq!(ResumeAnswer::of(Some(ExecutionStatus::Suspended)), ResumeAnswer::Resumed);
        let running = ExecutionStatus::Running;
        assert_eq!(ResumeAnswer::of(Some(running)), ResumeAnswer::NotSuspended(running));
    }
}
