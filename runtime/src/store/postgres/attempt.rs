//! Failed attempts that others follow (PROTOCOL 4): the section of a batch that keeps them.

use super::rows::{Bound, number, signed};
use crate::store::{Append, AttemptChange};

/// Changes of failed attempts.
#[derive(Default)]
pub(super) struct Attempts<'a> {
    dropped: (Vec<i64>, Vec<i64>, Vec<i64>),
    executions: Vec<i64>,
    activities: Vec<i64>,
    attempts: Vec<i32>,
    next_at: Vec<i64>,
    failures: Vec<&'a str>,
    owners: Vec<i64>,
}

impl<'a> Attempts<'a> {
    pub(super) const PARAMETERS: usize = 9;

    /// `@@` is where [`AFTER_TURNS`](Self::AFTER_TURNS) and [`AFTER_ROWS`](Self::AFTER_ROWS) go: their locks
    /// come after those of the execution's row and of the journal's key, one of which keeps a terminate away
    /// (PROTOCOL 95).
    pub(super) const SQL: &'static str = ", forgotten AS (
    DELETE FROM {s}.attempt a USING unnest(@1::bigint[], @2::bigint[], @3::bigint[]) AS d(execution, \
    activity, by), fence
    WHERE fence.worker = d.by AND a.execution = d.execution AND a.activity = d.activity@@),
kept AS (
    INSERT INTO {s}.attempt (execution, activity, attempt, next_at, failure)
    SELECT k.execution, k.activity, k.attempt, k.next_at, k.failure
    FROM unnest(@4::bigint[], @5::bigint[], @6::integer[], @7::bigint[], @8::text[], @9::bigint[])
        AS k(execution, activity, attempt, next_at, failure, by)
    JOIN fence ON fence.worker = k.by WHERE true@@
    ON CONFLICT (execution, activity) DO UPDATE SET
        attempt = excluded.attempt, next_at = excluded.next_at, failure = excluded.failure)";

    /// Where the batch has journal rows.
    pub(super) const AFTER_TURNS: &'static str = " AND (SELECT count(*) FROM written) >= 0";
    /// Where the batch changes executions' rows.
    pub(super) const AFTER_ROWS: &'static str = " AND (SELECT count(*) FROM changed) >= 0";

    pub(super) fn add(&mut self, append: &'a Append, change: &'a AttemptChange) {
        let (execution, owner) = (append.execution.0, append.owner.0);
        match change {
            AttemptChange::Drop(activity) => {
                self.dropped.0.push(execution);
                self.dropped.1.push(number(*activity));
                self.dropped.2.push(owner);
            }
            AttemptChange::Keep(row) => {
                self.executions.push(execution);
                self.activities.push(number(row.activity));
                self.attempts.push(signed(row.attempt));
                self.next_at.push(row.next_at_ms);
                self.failures.push(&row.failure);
                self.owners.push(owner);
            }
        }
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let (executions, activities, owners) = self.dropped;
        let query = query.bind(executions).bind(activities).bind(owners);
        let query = query.bind(self.executions).bind(self.activities).bind(self.attempts);
        query.bind(self.next_at).bind(self.failures).bind(self.owners)
    }
}
