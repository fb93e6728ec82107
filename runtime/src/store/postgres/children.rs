//! The sections of a batch about children: runs that it inserts, and ends that parents are told of (PROTOCOL 51, 54).

use super::rows::Bound;
use crate::store::{Append, NewChild};

/// Children of runs that append.
#[derive(Default)]
pub(super) struct Children {
    rows: Vec<String>,
    by: Vec<i64>,
}

impl Children {
    pub(super) const PARAMETERS: usize = 2;

    /// Names that may be taken were looked for under their locks (see `guard`). `@@` is where
    /// [`OF_STARTED`](Self::OF_STARTED) goes.
    const SQL: &'static str = ", children AS (
    INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, owner, wake_at, active, input,
        created_at, context, parent, child_no, close_policy, close_by, chain_by)
    SELECT r.id, r.workflow_id, r.run_id, r.type, r.queue, 0, r.owner, r.created_at, false, r.input,
        r.created_at, r.context, r.parent, r.child_no, r.close_policy, r.close_by, r.chain_by
    FROM unnest(@1::text[], @2::bigint[]) AS c(v, by)
    JOIN fence ON fence.worker = c.by
    CROSS JOIN LATERAL json_to_record(c.v::json) AS r(id bigint, workflow_id text, run_id text, type text, queue text,
        owner bigint, input text, context text, parent bigint, child_no bigint, close_policy smallint, close_by bigint,
        chain_by bigint, created_at bigint, starts boolean)@@
    ON CONFLICT DO NOTHING RETURNING id, status, owner, queue)";

    /// Where the batch has starts: no child without its parent.
    const OF_STARTED: &'static str = "
    WHERE NOT r.starts OR r.parent IN (SELECT id FROM born)";

    /// The task queues where they wait to be claimed.
    pub(super) const CONCERNED: &'static str =
        "SELECT c.owner, c.queue FROM children c WHERE c.owner IS NULL";

    /// `starts`: the batch has starts.
    pub(super) fn text(starts: bool) -> String {
        Self::SQL.replace("@@", if starts { Self::OF_STARTED } else { "" })
    }

    /// All children are in. Those of a start that is not in are not in either. `first`: the first parameter.
    pub(super) fn check(first: usize, starts: bool) -> String {
        let sent = match starts {
            false => format!("cardinality(${first}::text[])"),
            true => format!(
                "(SELECT count(*) FROM unnest(${first}::text[]) AS v CROSS JOIN LATERAL json_to_record(v::json)
        AS r(parent bigint, starts boolean){})",
                Self::OF_STARTED
            ),
        };
        format!("WHEN (SELECT count(*) FROM children) <> {sent} THEN 'abide_rows'")
    }

    pub(super) fn add(&mut self, append: &Append, child: &NewChild) {
        self.rows.push(child.json());
        self.by.push(append.owner.0);
    }

    pub(super) fn bind(self, query: Bound<'_>) -> Bound<'_> {
        query.bind(self.rows).bind(self.by)
    }
}

/// Ends that parents are told of.
#[derive(Default)]
pub(super) struct Reports<'a> {
    ids: Vec<i64>,
    ends: Vec<&'a str>,
    ats: Vec<i64>,
}

impl<'a> Reports<'a> {
    pub(super) const PARAMETERS: usize = 3;

    /// The row says who the parent is. The parent is not locked: one that closes loses its reports anyway, and one that
    /// this statement closes gets none (PROTOCOL 54). Schedules are told the ends of chains (PROTOCOL 71).
    pub(super) const SQL: &'static str = ", reported AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT p.id, 7, 'child/' || c.child_no, '{\"child\":' || c.child_no || ',\"end\":' || r.ends || '}', r.at, false
    FROM unnest(@1::bigint[], @2::text[], @3::bigint[]) AS r(id, ends, at)
    JOIN changed c ON c.id = r.id
    JOIN {s}.execution p ON p.id = c.parent AND p.status < 10 AND p.id <> ALL(@1::bigint[])
    ON CONFLICT DO NOTHING RETURNING execution),
reported_to_schedules AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT s.number, 7, 'run/' || coalesce(c.chain, c.id), json_build_object('workflow_id', c.workflow_id,
        'slot_ms', c.slot, 'status', c.status, 'message', r.ends::json), r.at, false
    FROM unnest(@1::bigint[], @2::text[], @3::bigint[]) AS r(id, ends, at)
    JOIN changed c ON c.id = r.id AND c.next IS NULL
    JOIN {s}.schedule s ON s.number = c.schedule
    ON CONFLICT DO NOTHING)";

    /// The owners and task queues of the parents.
    pub(super) const CONCERNED: &'static str = "SELECT p.owner, p.queue FROM {s}.execution p
        WHERE p.id IN (SELECT execution FROM reported)";

    pub(super) fn add(&mut self, append: &'a Append) {
        if let Some(end) = append.report.as_deref().filter(|_| append.closes_row()) {
            self.ids.push(append.execution.0);
            self.ends.push(end);
            self.ats.push(append.at_ms);
        }
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        query.bind(self.ids).bind(self.ends).bind(self.ats)
    }
}
