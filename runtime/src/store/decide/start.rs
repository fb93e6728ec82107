//! Decides starts by their request id, the id policies and the other runs of the workflow id.

use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::execution::{ExecutionRow, NewExecution, StartAnswer};

/// How often a start is decided again before it is put off: another start of its ids may come between
/// decision and insert.
#[cfg(any(feature = "postgres", feature = "testing"))] // SQLite has one write lock
pub(crate) const DECISIONS: u32 = 8;

/// The runs that a start meets.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The run that was started by the same request id or run id, or that has its messages. The others need not be
    /// read then.
    pub(crate) known: Option<ExecutionRow>,
    /// The open run of the workflow id.
    pub(crate) open: Option<ExecutionRow>,
    /// The newest closed run of the workflow id.
    pub(crate) closed: Option<ExecutionRow>,
}

/// What to do with a start.
#[derive(Debug)]
pub(crate) enum StartDecision {
    /// Insert it.
    Start,
    /// End this open run from outside, then insert the new one.
    Replace(Box<ExecutionRow>),
    /// Insert nothing, and answer this. Never [`StartAnswer::Started`].
    Answer(StartAnswer),
}

impl StartDecision {
    pub(crate) fn of(new: &NewExecution, found: Found) -> Self {
        let Found { known, open, closed } = found;
        if let Some(known) = known {
            return Self::Answer(StartAnswer::Known(Box::new(known)));
        }
        let replaced = match (open.map(Box::new), new.conflict) {
            (Some(open), IdConflictPolicy::Fail) => return Self::Answer(StartAnswer::Taken(open)),
            (Some(open), IdConflictPolicy::UseExisting) => return Self::Answer(StartAnswer::Existing(open)),
            (open, IdConflictPolicy::TerminateExisting) | (open @ None, _) => open,
        };
        if let Some(closed) = closed.filter(|closed| !allows_reuse(new.reuse, closed.status)) {
            return Self::Answer(StartAnswer::Refused(Box::new(closed)));
        }
        replaced.map_or(Self::Start, Self::Replace)
    }
}

/// Whether another run may be started after one that closed with this status.
pub(crate) fn allows_reuse(policy: IdReusePolicy, closed: ExecutionStatus) -> bool {
    match policy {
        IdReusePolicy::AllowDuplicate => true,
        IdReusePolicy::AllowDuplicateFailedOnly => closed != ExecutionStatus::Completed,
        IdReusePolicy::RejectDuplicate => false,
    }
}

/// The reuse policy of a start in a batch, as a parameter of the statement: 0 any, 1 no completed run, 2 no
/// run, 3 not in this batch. `first`: it is the first start of its workflow id in the batch. A statement does
/// not see its own rows, so a second start is decided by itself.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn reuse_code(policy: IdReusePolicy, first: bool) -> i16 {
    match policy {
        _ if !first => 3,
        IdReusePolicy::AllowDuplicate => 0,
        IdReusePolicy::AllowDuplicateFailedOnly => 1,
        IdReusePolicy::RejectDuplicate => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{new, row};
    use super::*;
    use ExecutionStatus::{Completed, Failed, Running, Suspended};
    use IdConflictPolicy::{Fail, TerminateExisting, UseExisting};
    use IdReusePolicy::{AllowDuplicate, AllowDuplicateFailedOnly, RejectDuplicate};

    fn decide(
        (reuse, conflict): (IdReusePolicy, IdConflictPolicy),
        open: Option<ExecutionStatus>,
        closed: Option<ExecutionStatus>,
    ) -> &'static str {
        let new = NewExecution { reuse, conflict, ..new() };
        match StartDecision::of(&new, Found { known: None, open: open.map(row), closed: closed.map(row) }) {
            StartDecision::Start => "start",
            StartDecision::Replace(_) => "replace",
            StartDecision::Answer(StartAnswer::Taken(_)) => "taken",
            StartDecision::Answer(StartAnswer::Existing(_)) => "existing",
            StartDecision::Answer(StartAnswer::Refused(_)) => "refused",
            StartDecision::Answer(answer) => panic!("{answer:?}"),
        }
    }

    #[test]
    fn a_known_request_wins_over_every_policy() {
        let new = NewExecution { reuse: RejectDuplicate, ..new() };
        let found = Found { known: Some(row(Failed)), open: Some(row(Running)), closed: Some(row(Failed)) };
        let decided = StartDecision::of(&new, found);
        assert!(matches!(decided, StartDecision::Answer(StartAnswer::Known(row)) if row.status == Failed));
    }

    #[test]
    fn an_open_run_is_decided_by_the_conflict_policy_first() {
        for open in [Running, Suspended] {
            for reuse in [AllowDuplicate, AllowDuplicateFailedOnly, RejectDuplicate] {
                assert_eq!(decide((reuse, Fail), Some(open), Some(Completed)), "taken");
                assert_eq!(decide((reuse, UseExisting), Some(open), Some(Completed)), "existing");
                assert_eq!(decide((reuse, TerminateExisting), Some(open), None), "replace");
            }
        }
        // The run that would be terminated stays if the reuse policy refuses.
        assert_eq!(decide((RejectDuplicate, TerminateExisting), Some(Running), Some(Failed)), "refused");
        assert_eq!(
            decide((AllowDuplicateFailedOnly, TerminateExisting), Some(Running), Some(Failed)),
            "replace"
        );
    }

    #[test]
    fn a_closed_run_is_decided_by_the_reuse_policy() {
        for conflict in [Fail, UseExisting, TerminateExisting] {
            assert_eq!(decide((AllowDuplicate, conflict), None, Some(Completed)), "start");
            assert_eq!(decide((AllowDuplicateFailedOnly, conflict), None, Some(Completed)), "refused");
            assert_eq!(decide((AllowDuplicateFailedOnly, conflict), None, Some(Failed)), "start");
            assert_eq!(decide((RejectDuplicate, conflict), None, Some(Failed)), "refused");
            assert_eq!(decide((RejectDuplicate, conflict), None, None), "start");
        }
    }
}
