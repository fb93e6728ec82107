//! What an append does to its execution's row: each column resolved, so that a store only writes it.

use crate::status::ExecutionStatus;
use crate::store::append::{Append, RowChange};
use crate::store::execution::{NewExecution, Suspension};
use abide_core::{ExecutionId, Incarnation};

/// What an append makes of `recovered_from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// It stays.
    Keep = 0,
    /// It is forgotten: `Recovered` is in the journal.
    Forget = 1,
    /// It is the owner, who leaves: what runs for a suspended execution may die with it.
    Owner = 2,
}

/// A change of a row that is there. `None` leaves a column as it is. The row's revision is counted up by each.
///
/// The row must have this owner, and be open with this revision; without one it must be closed (PROTOCOL 93).
#[derive(Debug)]
pub(crate) struct RowWrite<'a> {
    pub(crate) execution: ExecutionId,
    pub(crate) owner: Incarnation,
    pub(crate) rev: Option<i64>,
    /// A status sets `suspension`, too, and forgets the builds, unless there is a `build`.
    pub(crate) status: Option<ExecutionStatus>,
    /// Whether the owner goes.
    pub(crate) releases: bool,
    pub(crate) wake_at_ms: Option<Option<i64>>,
    pub(crate) active: Option<bool>,
    pub(crate) result: Option<&'a str>,
    pub(crate) closed_at_ms: Option<i64>,
    /// Crashes are counted from 0, and the builds forgotten, unless there is a `build`.
    pub(crate) resets_crashes: bool,
    pub(crate) recovered: Recovered,
    pub(crate) suspension: Option<&'a Suspension>,
    /// Joins the builds that have tried, and others may take it up once. An empty one is no worker's: each may try.
    pub(crate) build: Option<&'a str>,
    pub(crate) retried_ms: Option<i64>,
    /// The run that goes on for it.
    pub(crate) next: Option<ExecutionId>,
    /// It begins: its context goes.
    pub(crate) begins: bool,
    /// It closes: whether open children have close policies, is noted.
    pub(crate) marks_orphans: bool,
}

impl<'a> RowWrite<'a> {
    /// `None`: the row stays as it is, or the append makes it.
    pub(crate) fn of(append: &'a Append) -> Option<Self> {
        if append.starts() || !append.changes_row() {
            return None;
        }
        let change = append.row.as_ref().unwrap_or(RowChange::NONE);
        let status = status_of(append);
        let stops = status.is_some_and(|status| status != ExecutionStatus::Running);
        let suspends = status == Some(ExecutionStatus::Suspended);
        Some(Self {
            execution: append.execution,
            owner: append.owner,
            rev: append.rev,
            status,
            releases: change.release || stops,
            wake_at_ms: if stops { Some(None) } else { change.wake_at_ms },
            active: if stops { Some(false) } else { change.active },
            result: append.close.as_ref().map(|close| close.result.as_str()),
            closed_at_ms: append.is_closing().then_some(append.at_ms),
            resets_crashes: change.reset_crashes,
            recovered: match change.clear_recovered {
                _ if suspends && change.active == Some(true) => Recovered::Owner,
                true => Recovered::Forget,
                false => Recovered::Keep,
            },
            suspension: change.suspension.as_ref(),
            build: suspended_by(change).or(change.offered_by.as_deref()),
            retried_ms: change.retried_ms,
            next: append.successor.as_ref().map(|next| next.id),
            begins: change.begins,
            marks_orphans: append.is_closing() && append.orphans && !mutant!(ForgetOrphans),
        })
    }
}

/// The status that an append sets.
fn status_of(append: &Append) -> Option<ExecutionStatus> {
    let closed = append.close.as_ref().map(|close| close.status);
    closed.or(append.row.as_ref().and_then(|row| row.status))
}

/// The row of a start already owned, with the changes of its first turn. Its input is not in the row: the
/// journal's first event has it.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) new: &'a NewExecution,
    pub(crate) status: ExecutionStatus,
    pub(crate) owner: Option<Incarnation>,
    pub(crate) wake_at_ms: Option<i64>,
    pub(crate) active: bool,
    pub(crate) suspension: Option<&'a Suspension>,
    /// The only build that has tried.
    pub(crate) build: Option<&'a str>,
    pub(crate) closed_at_ms: Option<i64>,
    pub(crate) result: Option<&'a str>,
    /// The run that goes on for it.
    pub(crate) next: Option<ExecutionId>,
}

impl<'a> NewRow<'a> {
    /// `new` is the append's own start.
    pub(crate) fn of(append: &'a Append, new: &'a NewExecution) -> Self {
        let change = append.row.as_ref();
        let status = status_of(append).unwrap_or(ExecutionStatus::Running);
        let running = status == ExecutionStatus::Running;
        let releases = change.is_some_and(|change| change.release) || !running;
        Self {
            new,
            status,
            owner: (!releases).then_some(append.owner),
            wake_at_ms: change.and_then(|change| change.wake_at_ms.flatten()).filter(|_| running),
            active: running && change.is_some_and(|change| change.active == Some(true)),
            suspension: change.and_then(|change| change.suspension.as_ref()),
            build: change.and_then(suspended_by),
            closed_at_ms: append.is_closing().then_some(append.at_ms),
            result: append.close.as_ref().map(|close| close.result.as_str()),
            next: append.successor.as_ref().map(|next| next.id),
        }
    }
}

/// The build that suspends it, if others may try.
fn suspended_by(change: &RowChange) -> Option<&str> {
    let suspension = change.suspension.as_ref().filter(|suspension| suspension.other_builds);
    suspension.map(|suspension| suspension.build.as_str())
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;
    use crate::policy::{IdConflictPolicy, IdReusePolicy};
    use crate::store::append::{Close, CloseKind};
    use crate::store::execution::ExecutionRow;

    pub(in crate::store) fn new() -> NewExecution {
        NewExecution {
            id: ExecutionId(1),
            workflow_id: "order-1".to_owned(),
            run_id: "r".to_owned(),
            request_id: None,
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            input: "[]".to_owned(),
            created_at_ms: 100,
            terms: crate::store::Terms::default(),
            reuse: IdReusePolicy::default(),
            conflict: IdConflictPolicy::default(),
            terminate_event: None,
            with: Vec::new(),
        }
    }

    pub(in super::super) fn row(status: ExecutionStatus) -> ExecutionRow {
        ExecutionRow { status, ..ExecutionRow::of(&new()) }
    }

    fn append(row: RowChange) -> Append {
        let bare = Append::bare(Incarnation(7), ExecutionId(1), 50);
        Append { rev: Some(3), row: Some(row), ..bare }
    }

    fn close(status: ExecutionStatus) -> Option<Close> {
        Some(Close { kind: CloseKind::Drained, status, result: "{}".to_owned() })
    }

    fn suspension(other_builds: bool) -> Suspension {
        Suspension {
            code: "AB0201".to_owned(),
            message: String::new(),
            site: None,
            build: "b1".to_owned(),
            other_builds,
            at_ms: 1,
        }
    }

    /// What the write does, for these changes: (releases, wake, active, closed, recovered, build).
    #[allow(clippy::type_complexity)]
    fn write(
        append: &Append,
    ) -> (bool, Option<Option<i64>>, Option<bool>, Option<i64>, Recovered, Option<String>) {
        let write = RowWrite::of(append).unwrap();
        assert_eq!(
            (write.owner, write.rev, write.result.is_some()),
            (Incarnation(7), Some(3), append.is_closing())
        );
        let RowWrite { releases, wake_at_ms, active, closed_at_ms, recovered, build, .. } = write;
        (releases, wake_at_ms, active, closed_at_ms, recovered, build.map(str::to_owned))
    }

    #[test]
    fn a_change_of_nothing_leaves_all_columns() {
        assert_eq!(RowChange::NONE, &RowChange::default());
        let nothing = RowChange::default();
        assert!(RowWrite::of(&Append { row: None, ..append(RowChange::default()) }).is_none());
        assert_eq!(write(&append(nothing.clone())), (false, None, None, None, Recovered::Keep, None));
        let due = RowChange { wake_at_ms: Some(Some(9)), active: Some(true), release: true, ..nothing };
        assert_eq!(write(&append(due)), (true, Some(Some(9)), Some(true), None, Recovered::Keep, None));
    }

    #[test]
    fn what_stops_is_released_and_due_never() {
        for status in [ExecutionStatus::Completed, ExecutionStatus::Suspended] {
            let stops = RowChange {
                status: Some(status).filter(|status| status.is_open()),
                wake_at_ms: Some(Some(9)),
                active: Some(true),
                clear_recovered: true,
                ..RowChange::default()
            };
            let closed = (!status.is_open()).then_some(50);
            let suspended = status == ExecutionStatus::Suspended;
            let recovered = if suspended { Recovered::Owner } else { Recovered::Forget };
            let close = close(status).filter(|_| !status.is_open());
            assert_eq!(
                write(&Append { close, ..append(stops) }),
                (true, Some(None), Some(false), closed, recovered, None)
            );
        }
        let runs = RowChange { status: Some(ExecutionStatus::Running), ..RowChange::default() };
        assert!(!write(&append(runs)).0);
        let alone =
            Append { row: None, close: close(ExecutionStatus::Failed), ..append(RowChange::default()) };
        assert_eq!(write(&alone), (true, Some(None), Some(false), Some(50), Recovered::Keep, None));
    }

    #[test]
    fn a_build_is_noted_where_others_may_try() {
        let suspends = |other_builds, offered_by: Option<&str>| RowChange {
            status: Some(ExecutionStatus::Suspended),
            suspension: Some(suspension(other_builds)),
            offered_by: offered_by.map(str::to_owned),
            ..RowChange::default()
        };
        let write = |change| write(&append(change));
        assert_eq!(write(suspends(true, None)).5.as_deref(), Some("b1"));
        assert_eq!(write(suspends(false, None)).5, None);
        assert_eq!(write(suspends(false, Some("b2"))).5.as_deref(), Some("b2"));
    }

    #[test]
    fn a_new_row_has_an_owner_while_it_runs() {
        let new = new();
        let of = |append: Append| {
            let row = NewRow::of(&append, &new);
            (row.status, row.owner, row.wake_at_ms, row.active, row.closed_at_ms)
        };
        let (running, me) = (ExecutionStatus::Running, Some(Incarnation(7)));
        assert_eq!(of(append(RowChange::default())), (running, me, None, false, None));
        let busy = RowChange { active: Some(true), wake_at_ms: Some(Some(9)), ..RowChange::default() };
        assert_eq!(of(append(busy.clone())), (running, me, Some(9), true, None));
        assert_eq!(
            of(append(RowChange { release: true, ..busy.clone() })),
            (running, None, Some(9), true, None)
        );
        let failed = ExecutionStatus::Failed;
        assert_eq!(
            of(Append { close: close(failed), ..append(busy) }),
            (failed, None, None, false, Some(50))
        );
    }
}
