//! The section of a batch that hands runs on: their successors, and the messages that move to them.

use super::rows::{Bound, signed};
use crate::store::message::moving_kinds;
use crate::store::{Append, Successor};

/// The runs that go on for runs that the batch closes.
#[derive(Default)]
pub(super) struct Followed<'a> {
    of: Vec<i64>,
    ids: Vec<i64>,
    run_ids: Vec<&'a str>,
    types: Vec<&'a str>,
    queues: Vec<&'a str>,
    owners: Vec<Option<i64>>,
    due: Vec<i64>,
    inputs: Vec<&'a str>,
    contexts: Vec<Option<&'a str>>,
    created: Vec<i64>,
    attempts: Vec<i32>,
    close_by: Vec<Option<i64>>,
    /// What their predecessors have taken in by this batch: it goes, and must not move.
    consumed: Vec<i64>,
}

impl<'a> Followed<'a> {
    pub(super) const PARAMETERS: usize = 13;

    /// Each inherits from the row of the run before it, as this statement has found it (PROTOCOL 39). `@@` is where
    /// [`handed`](Self::handed) goes.
    pub(super) const SQL: &'static str = concat!(
        ", handed AS MATERIALIZED (@@),
followed AS (
    INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, owner, wake_at, input, context, created_at,
        attempt, close_by, chain, parent, child_no, close_policy, schedule, slot, chain_by)
    SELECT s.id, h.workflow_id, s.run_id, s.type, s.queue, 0, s.owner, s.due, s.input, s.context, s.created,
        s.attempt, s.close_by, coalesce(h.chain, h.id), h.parent, h.child_no, h.close_policy, h.schedule, h.slot,
        h.chain_by
    FROM unnest(@1::bigint[], @2::bigint[], @3::text[], @4::text[], @5::text[], @6::bigint[], @7::bigint[], @8::text[],
        @9::text[], @10::bigint[], @11::integer[], @12::bigint[])
        AS s(of, id, run_id, type, queue, owner, due, input, context, created, attempt, close_by)
    JOIN handed h ON h.id = s.of AND h.next = s.id
    ON CONFLICT DO NOTHING RETURNING id),
moved AS (
    UPDATE {s}.inbox i SET execution = s.id, parked = false
    FROM unnest(@1::bigint[], @2::bigint[]) AS s(of, id) JOIN followed f ON f.id = s.id
    WHERE i.execution = s.of AND i.id <> ALL(@13::bigint[]) AND i.kind ",
        moving_kinds!(),
        ")"
    );

    const COLUMNS: &'static str =
        "id, workflow_id, next, chain, parent, child_no, close_policy, schedule, slot, chain_by";

    /// The rows that a batch with these sections hands on: a start may hand on at once.
    pub(super) fn handed(rows: bool, births: bool) -> String {
        let of =
            |table: &str| format!("SELECT {} FROM {table} WHERE next = ANY(@2::bigint[])", Self::COLUMNS);
        let parts = [rows.then(|| of("changed")), births.then(|| of("born"))];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        // No batch has neither, but a test prepares each text.
        if parts.is_empty() {
            return of("{s}.execution");
        }
        parts.join(" UNION ALL ")
    }

    /// A run that is handed on has its successor.
    pub(super) const CHECK: &'static str = "(SELECT count(*) FROM followed) <> (SELECT count(*) FROM handed)";

    pub(super) fn add(&mut self, append: &'a Append, next: &'a Successor) {
        self.of.push(append.execution.0);
        self.ids.push(next.id.0);
        self.run_ids.push(&next.run_id);
        self.types.push(&next.workflow_type);
        self.queues.push(&next.queue);
        self.owners.push(next.owned.then_some(append.owner.0));
        self.due.push(next.due_ms);
        self.inputs.push(&next.input);
        self.contexts.push(next.context.as_deref());
        self.created.push(next.created_at_ms);
        self.attempts.push(signed(next.attempt));
        self.close_by.push(next.close_by_ms);
        self.consumed.extend(&append.consumed);
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.of).bind(self.ids).bind(self.run_ids).bind(self.types).bind(self.queues);
        let query = query.bind(self.owners).bind(self.due).bind(self.inputs).bind(self.contexts);
        query.bind(self.created).bind(self.attempts).bind(self.close_by).bind(self.consumed)
    }
}
