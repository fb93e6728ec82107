//! Answers that go with a turn (PROTOCOL 46): the section of a batch that keeps them.

use super::rows::Bound;
use crate::store::decide::Sections;
use crate::store::{Append, Reply};

/// Answers for other processes.
#[derive(Default)]
pub(super) struct Replies<'a> {
    request_ids: Vec<&'a str>,
    bodies: Vec<&'a str>,
    stages: Vec<i16>,
    expires: Vec<i64>,
    ats: Vec<i64>,
    executions: Vec<i64>,
    starts: Vec<bool>,
    owners: Vec<i64>,
}

impl<'a> Replies<'a> {
    pub(super) const PARAMETERS: usize = 8;

    /// An answer takes the place of one of an earlier stage only. Some that have expired go too. `@@` is where
    /// [`AFTER_JOURNAL`](Self::AFTER_JOURNAL) and [`OF_STARTED`](Self::OF_STARTED) go.
    const SQL: &'static str = ", outdated AS (
    DELETE FROM {s}.reply WHERE request_id IN (
        SELECT o.request_id FROM {s}.reply o
        WHERE o.expires_at < (SELECT min(a) FROM unnest(@5::bigint[]) AS a) AND o.request_id <> ALL(@1::text[])
        ORDER BY o.expires_at LIMIT 100 FOR UPDATE SKIP LOCKED)),
replied AS (
    INSERT INTO {s}.reply AS r (request_id, body, stage, expires_at)
    SELECT a.request_id, a.body, a.stage, a.expires_at
    FROM unnest(@1::text[], @2::text[], @3::smallint[], @4::bigint[], @6::bigint[], @7::boolean[], @8::bigint[])
        AS a(request_id, body, stage, expires_at, execution, starts, owner)
    JOIN fence ON fence.worker = a.owner WHERE true@@
    ON CONFLICT (request_id) DO UPDATE
        SET body = excluded.body, expires_at = excluded.expires_at, stage = excluded.stage
        WHERE r.stage < excluded.stage)";

    const OF_STARTED: &'static str = " AND (NOT a.starts OR a.execution IN (SELECT id FROM born))";
    const AFTER_JOURNAL: &'static str = " AND (SELECT count(*) FROM written) >= 0";

    /// The section, beside these others.
    pub(super) fn sql(sections: Sections) -> String {
        let turns = if sections.has(Sections::JOURNAL) { Self::AFTER_JOURNAL } else { "" };
        let starts = if sections.has(Sections::BIRTHS) { Self::OF_STARTED } else { "" };
        Self::SQL.replace("@@", &format!("{turns}{starts}"))
    }

    pub(super) fn add(&mut self, append: &'a Append, reply: &'a Reply) {
        self.request_ids.push(&reply.request_id);
        self.bodies.push(&reply.body);
        self.stages.push(reply.stage);
        self.expires.push(reply.expires_at_ms);
        self.ats.push(append.at_ms);
        self.executions.push(append.execution.0);
        self.starts.push(append.starts());
        self.owners.push(append.owner.0);
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.request_ids).bind(self.bodies).bind(self.stages).bind(self.expires);
        query.bind(self.ats).bind(self.executions).bind(self.starts).bind(self.owners)
    }
}
