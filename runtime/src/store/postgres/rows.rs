//! The sections of a batch: each its arrays, its text and how the two meet. (Those of tasks are in `tokens`.)

use crate::store::decide::{NewRow, RowWrite, Sections, parks_sql, reuse_code};
use crate::store::{Append, MessageKind, NewMessage, Suspension};
use abide_core::EventId;
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

/// A statement with its parameters.
pub(super) type Bound<'a> = Query<'a, Postgres, PgArguments>;

/// Starts already owned, with the changes of their first turn in the same row.
#[derive(Default)]
pub(super) struct Births<'a> {
    ids: Vec<i64>,
    workflow_ids: Vec<&'a str>,
    run_ids: Vec<&'a str>,
    request_ids: Vec<Option<&'a str>>,
    types: Vec<&'a str>,
    queues: Vec<&'a str>,
    statuses: Vec<i16>,
    owners: Vec<Option<i64>>,
    wakes: Vec<Option<i64>>,
    active: Vec<bool>,
    suspensions: Vec<Option<String>>,
    builds: Vec<Option<&'a str>>,
    created: Vec<i64>,
    closed: Vec<Option<i64>>,
    results: Vec<Option<&'a str>>,
    reuse: Vec<i16>,
    by: Vec<i64>,
    close_by: Vec<Option<i64>>,
    chain_by: Vec<Option<i64>>,
    contexts: Vec<Option<&'a str>>,
    nexts: Vec<Option<i64>>,
}

impl<'a> Births<'a> {
    pub(super) const PARAMETERS: usize = 21;

    /// A taken id inserts nothing; the rest of its append then stays out too. Reuse policies other than the
    /// default look at the newest closed run (2 refuses any, 1 a completed one); 3 stays out in any case. A
    /// start that closes at once is in no unique index, so it has to look for an open run itself; and one
    /// with such a policy is not let in beside a run that is just closing, whose end this statement does not
    /// see: it is decided alone. Both are asked under a lock on the workflow id, taken before this statement
    /// began, where that matters (see `guard`).
    pub(super) const SQL: &'static str = ", born AS (
    INSERT INTO {s}.execution (id, workflow_id, run_id, request_id, type, queue, status, owner, wake_at, active,
        suspension, tried_builds, created_at, closed_at, result, close_by, chain_by, context, next)
    SELECT c.id, c.workflow_id, c.run_id, c.request_id, c.type, c.queue, c.status, c.owner, c.wake, c.active,
        c.suspension, CASE WHEN c.build IS NOT NULL THEN ARRAY[c.build] END, c.created, c.closed, c.result,
        c.close_by, c.chain_by, c.context, c.next
    FROM unnest(@1::bigint[], @2::text[], @3::text[], @4::text[], @5::text[], @6::text[], @7::smallint[], @8::bigint[],
        @9::bigint[], @10::boolean[], @11::text[], @12::text[], @13::bigint[], @14::bigint[], @15::text[],
        @16::smallint[], @17::bigint[], @18::bigint[], @19::bigint[], @20::text[], @21::bigint[])
        AS c(id, workflow_id, run_id, request_id, type, queue, status, owner, wake, active, suspension, build, created,
            closed, result, reuse, by, close_by, chain_by, context, next)
    JOIN fence ON fence.worker = c.by
    WHERE CASE c.reuse WHEN 0 THEN true WHEN 3 THEN false ELSE coalesce((
            SELECT c.reuse = 1 AND x.status <> 10 FROM {s}.execution x
            WHERE x.workflow_id = c.workflow_id AND x.status >= 10
            ORDER BY x.created_at DESC, x.id DESC LIMIT 1), true) END
        AND (c.status < 10 AND c.reuse = 0 OR NOT EXISTS (
            SELECT FROM {s}.execution x WHERE x.workflow_id = c.workflow_id AND x.status < 10))
    ON CONFLICT DO NOTHING RETURNING id, status, owner, queue, workflow_id, next, chain, parent, child_no, close_policy,
        schedule, slot, chain_by)";

    /// `first`: no other start of this workflow id is in the batch.
    pub(super) fn add(&mut self, append: &'a Append, row: &NewRow<'a>, first: bool) {
        let new = row.new;
        self.ids.push(new.id.0);
        self.workflow_ids.push(&new.workflow_id);
        self.run_ids.push(&new.run_id);
        self.request_ids.push(new.request_id.as_deref());
        self.types.push(&new.workflow_type);
        self.queues.push(&new.queue);
        self.statuses.push(row.status.code() as i16);
        self.owners.push(row.owner.map(|owner| owner.0));
        self.wakes.push(row.wake_at_ms);
        self.active.push(row.active);
        self.suspensions.push(row.suspension.map(Suspension::json));
        self.builds.push(row.build);
        self.created.push(new.created_at_ms);
        self.closed.push(row.closed_at_ms);
        self.results.push(row.result);
        self.reuse.push(reuse_code(new.reuse, first));
        self.by.push(append.owner.0);
        self.close_by.push(new.terms.close_by_ms);
        self.chain_by.push(new.terms.chain_by_ms);
        self.contexts.push(new.terms.context.as_deref());
        self.nexts.push(row.next.map(|next| next.0));
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.ids).bind(self.workflow_ids).bind(self.run_ids).bind(self.request_ids);
        let query = query.bind(self.types).bind(self.queues).bind(self.statuses).bind(self.owners);
        let query = query.bind(self.wakes).bind(self.active).bind(self.suspensions).bind(self.builds);
        let query = query.bind(self.created).bind(self.closed).bind(self.results).bind(self.reuse);
        query.bind(self.by).bind(self.close_by).bind(self.chain_by).bind(self.contexts).bind(self.nexts)
    }
}

/// Journal rows.
#[derive(Default)]
pub(super) struct Journal<'a> {
    executions: Vec<i64>,
    seqs: Vec<i64>,
    counts: Vec<i32>,
    ats: Vec<i64>,
    writers: Vec<i64>,
    bodies: Vec<&'a str>,
    starts: Vec<bool>,
}

impl<'a> Journal<'a> {
    pub(super) const PARAMETERS: usize = 7;

    /// `@@` is where [`AFTER_ROWS`](Self::AFTER_ROWS) and [`OF_STARTED`](Self::OF_STARTED) go.
    pub(super) const SQL: &'static str = ", written AS (
    INSERT INTO {s}.journal (execution, seq, n, at, writer, body)
    SELECT j.execution, j.seq, j.n, j.at, j.writer, j.body
    FROM unnest(@1::bigint[], @2::bigint[], @3::integer[], @4::bigint[], @5::bigint[], @6::text[], @7::boolean[])
        AS j(execution, seq, n, at, writer, body, starts)
    JOIN fence ON fence.worker = j.writer
    WHERE true@@
    RETURNING 1)";

    /// One order of locks for all (PROTOCOL 95): the rows of executions that the batch locks come before its
    /// first key of the journal. A terminate holds such a row and waits for such a key.
    pub(super) const AFTER_RECEIVERS: &'static str = " AND (SELECT count(*) FROM receivers) >= 0";
    pub(super) const AFTER_ROWS: &'static str = " AND (SELECT count(*) FROM changed) >= 0";
    pub(super) const AFTER_FOLLOWED: &'static str = " AND (SELECT count(*) FROM followed) >= 0";

    /// Where the batch has starts: their rows only if the start is in.
    pub(super) const OF_STARTED: &'static str = " AND (NOT j.starts OR j.execution IN (SELECT id FROM born))";

    pub(super) fn add(&mut self, append: &'a Append) {
        self.executions.push(append.execution.0);
        self.seqs.push(i64::try_from(append.seq.0).unwrap_or(i64::MAX));
        self.counts.push(i32::try_from(append.n).unwrap_or(i32::MAX));
        self.ats.push(append.at_ms);
        self.writers.push(append.owner.0);
        self.bodies.push(&append.body);
        self.starts.push(append.starts());
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.executions).bind(self.seqs).bind(self.counts).bind(self.ats);
        query.bind(self.writers).bind(self.bodies).bind(self.starts)
    }
}

/// Messages on their way.
#[derive(Default)]
pub(super) struct Messages<'a> {
    to: Vec<i64>,
    kinds: Vec<i16>,
    request_ids: Vec<&'a str>,
    bodies: Vec<&'a str>,
    ats: Vec<i64>,
    owners: Vec<i64>,
    /// The sender, where this batch starts it.
    starts: Vec<Option<i64>>,
}

impl<'a> Messages<'a> {
    pub(super) const PARAMETERS: usize = 7;

    /// The lock on the receiver's row keeps it from closing meanwhile, and nothing else (PROTOCOL 16).
    pub(super) const RECEIVERS: &'static str = ", receivers AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id = ANY(@1::bigint[]) AND status < 10
    ORDER BY id FOR KEY SHARE)";

    /// The owners and task queues of those who get messages. A parked message concerns no worker yet.
    pub(super) const CONCERNED: &'static str = "SELECT r.owner, r.queue FROM receivers r
        WHERE r.id IN (SELECT execution FROM sent WHERE NOT parked)";
    /// The same of receivers that the batch starts.
    pub(super) const CONCERNED_STARTS: &'static str = "SELECT c.owner, c.queue FROM born c
        WHERE c.id IN (SELECT execution FROM sent WHERE NOT parked)";

    /// A sender's messages keep their order, which a join alone does not.
    /// `@@` is where [`to`](Self::to) goes.
    pub(super) const SQL: &'static str = concat!(
        ", sent AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT m.execution, m.kind, m.request_id, m.body, m.at, ",
        parks_sql!("r.status", "m.kind"),
        "
    FROM unnest(@1::bigint[], @2::smallint[], @3::text[], @4::text[], @5::bigint[], @6::bigint[], @7::bigint[])
        WITH ORDINALITY AS m(execution, kind, request_id, body, at, owner, starts, nth)
    JOIN fence ON fence.worker = m.owner @@
    ORDER BY m.nth
    ON CONFLICT DO NOTHING RETURNING execution, parked)"
    );

    /// Who may receive: who is locked, and what no statement but this one sees yet: starts and children of the batch,
    /// and runs that go on. A sender that is not in sends nothing.
    pub(super) fn to(sections: Sections) -> String {
        let unseen = [
            (Sections::BIRTHS, " UNION SELECT id, status FROM born WHERE status < 10"),
            (Sections::CHILDREN, " UNION SELECT id, status FROM children"),
            (Sections::FOLLOWED, " UNION SELECT id, 0::smallint FROM followed"),
        ];
        let unseen = unseen.into_iter().filter(|(section, _)| sections.has(*section));
        let unseen: String = unseen.map(|(_, part)| part).collect();
        let senders = match sections.has(Sections::BIRTHS) {
            true => "\n    WHERE m.starts IS NULL OR m.starts IN (SELECT id FROM born)",
            false => "",
        };
        format!("JOIN (SELECT id, status FROM receivers{unseen}) r ON r.id = m.execution{senders}")
    }

    pub(super) fn add(&mut self, append: &'a Append, message: &'a NewMessage) {
        self.to.push(message.execution.0);
        self.kinds.push(message.kind.code() as i16);
        self.request_ids.push(&message.request_id);
        self.bodies.push(&message.body);
        self.ats.push(message.at_ms);
        self.owners.push(append.owner.0);
        self.starts.push(append.own_start().map(|new| new.id.0));
    }

    /// To whom they go.
    pub(super) fn receivers(&self) -> Vec<i64> {
        self.to.clone()
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.to).bind(self.kinds).bind(self.request_ids).bind(self.bodies);
        query.bind(self.ats).bind(self.owners).bind(self.starts)
    }
}

/// Changes of executions' rows.
#[derive(Default)]
pub(super) struct Changes<'a> {
    ids: Vec<i64>,
    owners: Vec<i64>,
    statuses: Vec<Option<i16>>,
    frees: Vec<bool>,
    sets_wake: Vec<bool>,
    wakes: Vec<Option<i64>>,
    active: Vec<Option<bool>>,
    results: Vec<Option<&'a str>>,
    closed: Vec<Option<i64>>,
    resets: Vec<bool>,
    recovered: Vec<i16>,
    suspensions: Vec<Option<String>>,
    builds: Vec<Option<&'a str>>,
    retried: Vec<Option<i64>>,
    revs: Vec<Option<i64>>,
    nexts: Vec<Option<i64>>,
    orphans: Vec<bool>,
    begins: Vec<bool>,
}

impl<'a> Changes<'a> {
    pub(super) const PARAMETERS: usize = 18;

    /// A row of another owner or revision, or closed meanwhile, is left alone, and the check raises. Only the
    /// release of a run that is known to be closed names no revision, since no worker claims it (PROTOCOL 93). `@@` is
    /// where [`AFTER_MESSAGES`](Self::AFTER_MESSAGES) goes.
    pub(super) const SQL: &'static str = ", changed AS (
    UPDATE {s}.execution e SET
        rev = e.rev + 1,
        status = coalesce(u.status, e.status),
        owner = CASE WHEN u.frees THEN NULL ELSE e.owner END,
        wake_at = CASE WHEN u.sets_wake THEN u.wake ELSE e.wake_at END,
        active = coalesce(u.active, e.active),
        result = coalesce(u.result, e.result),
        closed_at = coalesce(u.closed, e.closed_at),
        told = e.told OR u.closed IS NOT NULL,
        orphans = CASE WHEN u.orphans THEN EXISTS (
            SELECT FROM {s}.execution k WHERE k.parent = e.id AND k.status < 10 AND k.close_policy > 0)
            ELSE e.orphans END,
        crashes = CASE WHEN u.resets THEN 0 ELSE e.crashes END,
        retried_until = coalesce(u.retried, e.retried_until),
        next = coalesce(u.next, e.next),
        context = CASE WHEN u.begins THEN NULL ELSE e.context END,
        recovered_from = CASE u.recovered WHEN 1 THEN NULL WHEN 2 THEN e.owner ELSE e.recovered_from END,
        suspension = CASE WHEN u.status IS NULL THEN e.suspension ELSE u.suspension END,
        tried_builds = CASE
            WHEN u.build = '' THEN ARRAY['']
            WHEN u.build = ANY(e.tried_builds) THEN e.tried_builds
            WHEN u.build IS NOT NULL THEN coalesce(e.tried_builds, '{}') || u.build
            WHEN u.resets OR u.status IS NOT NULL THEN NULL
            ELSE e.tried_builds END,
        trying_builds = CASE WHEN u.build IS NULL AND NOT u.resets AND u.status IS NULL THEN e.trying_builds END
    FROM unnest(@1::bigint[], @2::bigint[], @3::smallint[], @4::boolean[], @5::boolean[], @6::bigint[], @7::boolean[],
        @8::text[], @9::bigint[], @10::boolean[], @11::smallint[], @12::text[], @13::text[], @14::bigint[],
        @15::bigint[], @16::bigint[], @17::boolean[], @18::boolean[])
        AS u(id, owner, status, frees, sets_wake, wake, active, result, closed, resets, recovered, suspension, build,
            retried, rev, next, orphans, begins)
    JOIN fence ON fence.worker = u.owner
    WHERE e.id = u.id AND e.owner = u.owner
        AND CASE WHEN u.rev IS NULL THEN e.status >= 10 ELSE e.rev = u.rev AND e.status < 10 END@@
    RETURNING e.id, e.workflow_id, e.next, e.chain, e.parent, e.child_no, e.close_policy, e.schedule, e.slot,
        e.chain_by, e.status)";

    /// Where the batch has messages: their receivers are locked before any row is changed. A statement cannot
    /// lock what it has changed itself; it passes it over in silence, and the message would be lost.
    pub(super) const AFTER_MESSAGES: &'static str = " AND (SELECT count(*) FROM receivers) >= 0";

    pub(super) fn add(&mut self, row: &RowWrite<'a>) {
        self.ids.push(row.execution.0);
        self.owners.push(row.owner.0);
        self.statuses.push(row.status.map(|status| status.code() as i16));
        self.frees.push(row.releases);
        self.sets_wake.push(row.wake_at_ms.is_some());
        self.wakes.push(row.wake_at_ms.flatten());
        self.active.push(row.active);
        self.results.push(row.result);
        self.closed.push(row.closed_at_ms);
        self.resets.push(row.resets_crashes);
        self.recovered.push(row.recovered as i16);
        self.suspensions.push(row.suspension.map(Suspension::json));
        self.builds.push(row.build);
        self.retried.push(row.retried_ms);
        self.revs.push(row.rev);
        self.nexts.push(row.next.map(|next| next.0));
        self.orphans.push(row.marks_orphans);
        self.begins.push(row.begins);
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.ids).bind(self.owners).bind(self.statuses).bind(self.frees);
        let query = query.bind(self.sets_wake).bind(self.wakes).bind(self.active).bind(self.results);
        let query = query.bind(self.closed).bind(self.resets).bind(self.recovered).bind(self.suspensions);
        let query = query.bind(self.builds).bind(self.retried).bind(self.revs).bind(self.nexts);
        query.bind(self.orphans).bind(self.begins)
    }
}

/// The kind that tells an owner that it was terminated, and the one of queries, which no close waits for.
pub(super) const TERMINATED: i16 = MessageKind::Terminated.code() as i16;
pub(super) const QUERY: i16 = MessageKind::Query.code() as i16;

/// An activity's number as the database has it.
pub(super) fn number(activity: EventId) -> i64 {
    i64::try_from(activity.0).unwrap_or(i64::MAX)
}

/// An attempt's number as the database has it.
pub(super) fn signed(attempt: u32) -> i32 {
    i32::try_from(attempt).unwrap_or(i32::MAX)
}
