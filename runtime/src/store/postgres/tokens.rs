//! The section of a batch that changes tasks: what a turn decides about attempts that the database arbitrates
//! (PROTOCOL 22).

use super::rows::{Bound, number, signed};
use crate::store::decide::{outcome_json, outcome_row};
use crate::store::{Append, NewTask, TaskChange};
use abide_core::exec::AttemptOutcome;

/// Changes of tasks.
#[derive(Default)]
pub(super) struct Tasks<'a> {
    kinds: Vec<i16>,
    executions: Vec<i64>,
    activities: Vec<i64>,
    attempts: Vec<i32>,
    of: Vec<Option<i32>>,
    queues: Vec<Option<&'a str>>,
    names: Vec<Option<&'a str>>,
    inputs: Vec<Option<&'a str>>,
    limits: Vec<Option<&'a str>>,
    run_at: Vec<i64>,
    start_by: Vec<Option<i64>>,
    close_by: Vec<Option<i64>>,
    details: Vec<Option<&'a str>>,
    owners: Vec<i64>,
    cancelled: Vec<Option<String>>,
    starts: Vec<bool>,
    limit_keys: Vec<&'a str>,
    priorities: Vec<i16>,
    fair_keys: Vec<&'a str>,
    weights: Vec<i32>,
}

impl<'a> Tasks<'a> {
    pub(super) const PARAMETERS: usize = 20;

    /// Kinds: 0 insert, 1 replace, 2 settle, 3 drop, 4 cancel. What is asked to stop and was not begun ends
    /// at once. `@@` is where [`AFTER_JOURNAL`](Self::AFTER_JOURNAL) and [`OF_STARTED`](Self::OF_STARTED) go.
    /// The rows that are there are locked in the order of their keys before any is changed (PROTOCOL 95).
    pub(super) const SQL: &'static str = concat!(
        ", t AS MATERIALIZED (
    SELECT t.* FROM unnest(@1::smallint[], @2::bigint[], @3::bigint[], @4::integer[], @5::integer[], @6::text[],
        @7::text[], @8::text[], @9::text[], @10::bigint[], @11::bigint[], @12::bigint[], @13::bigint[], \
        @14::text[], @15::boolean[], @16::text[], @17::text[], @18::smallint[], @19::text[], @20::integer[])
        AS t(kind, execution, activity, attempt, of, queue, name, input, limits, run_at, start_by, \
        close_by, by, outcome,
            starts, details, limit_key, priority, fair_key, weight)
    JOIN fence ON fence.worker = t.by
    WHERE true@@),
held AS MATERIALIZED (
    SELECT k.execution FROM {s}.task k JOIN t ON k.execution = t.execution AND k.activity = t.activity
    WHERE t.kind > 0 ORDER BY k.execution, k.activity FOR UPDATE OF k),
inserted AS (
    INSERT INTO {s}.task (execution, activity, attempt, queue, name, input, limits, run_at, start_by, close_by, details,
        nonce, limit_key, priority, fair_key, weight)
    SELECT execution, activity, attempt, queue, name, input, limits, run_at, start_by, close_by, details,
        (random() * 9007199254740991)::bigint, limit_key, priority, fair_key, weight FROM t WHERE kind = 0),
replaced AS (
    UPDATE {s}.task k SET attempt = t.attempt, queue = t.queue, name = t.name, input = t.input, limits = t.limits,
        run_at = t.run_at, start_by = t.start_by, close_by = t.close_by, owner = NULL, cancel = false, handed = false,
        details = coalesce(t.details, k.details), limit_key = t.limit_key, priority = t.priority,
        fair_key = t.fair_key, weight = t.weight,
        nonce = (random() * 9007199254740991)::bigint
    FROM t WHERE (SELECT count(*) FROM held) >= 0 AND t.kind = 1 AND k.execution = t.execution AND \
    k.activity = t.activity AND k.attempt = t.of
    RETURNING 1),
settled AS (
    DELETE FROM {s}.task k USING t
    WHERE (SELECT count(*) FROM held) >= 0 AND t.kind = 2 AND k.execution = t.execution AND k.activity = \
    t.activity AND k.attempt = t.of
    RETURNING 1),
dropped AS (
    DELETE FROM {s}.task k USING t WHERE t.kind = 3 AND k.execution = t.execution AND k.activity = t.activity
    RETURNING k.owner, CASE WHEN (k.owner IS NOT NULL OR k.handed) AND k.limit_key <> '' THEN k.queue END AS freed),
unbegun AS (
    DELETE FROM {s}.task k USING t
    WHERE (SELECT count(*) FROM held) >= 0 AND t.kind = 4 AND k.execution = t.execution AND k.activity = t.activity
        AND k.owner IS NULL AND NOT k.handed
        AND k.queue IS NOT NULL
    RETURNING k.execution, k.activity, k.attempt, k.details, t.outcome, t.run_at, t.by),
cancelled AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
    SELECT ",
        outcome_row!("", "outcome"),
        ", run_at FROM unbegun
    ON CONFLICT DO NOTHING),
asked AS (
    UPDATE {s}.task k SET cancel = true FROM t
    WHERE t.kind = 4 AND k.execution = t.execution AND k.activity = t.activity AND k.queue IS NOT NULL
        AND NOT EXISTS (SELECT FROM unbegun u WHERE u.execution = k.execution AND u.activity = k.activity)
    RETURNING k.owner)"
    );

    /// Whom the changes concern: who runs what has to stop, and the owner whose inbox has an outcome now.
    pub(super) const CONCERNED: &'static str = "SELECT owner, NULL::text AS queue FROM dropped
        UNION ALL SELECT NULL::bigint, freed FROM dropped WHERE freed IS NOT NULL
        UNION ALL SELECT owner, NULL FROM asked UNION ALL SELECT by, NULL FROM unbegun";

    /// Where the batch has starts: one that is not in has no tasks.
    pub(super) const OF_STARTED: &'static str = " AND (NOT t.starts OR t.execution IN (SELECT id FROM born))";
    pub(super) const AFTER_JOURNAL: &'static str = " AND (SELECT count(*) FROM written) >= 0";

    /// Attempts that were decided otherwise.
    pub(super) const CHECK: &'static str = "(SELECT count(*) FROM t WHERE kind IN (1, 2))
        <> (SELECT count(*) FROM replaced) + (SELECT count(*) FROM settled)";

    pub(super) fn add(&mut self, append: &'a Append, change: &'a TaskChange) {
        let (kind, of, task, activity) = match change {
            TaskChange::Insert(task) => (0, None, Some(task), task.activity),
            TaskChange::Replace { of, with } => (1, Some(*of), Some(with), with.activity),
            TaskChange::Settle { activity, attempt } => (2, Some(*attempt), None, *activity),
            TaskChange::Drop(activity) => (3, None, None, *activity),
            TaskChange::Cancel(activity) => (4, None, None, *activity),
        };
        self.kinds.push(kind);
        self.executions.push(append.execution.0);
        self.activities.push(number(activity));
        self.attempts.push(task.map_or(0, |task| signed(task.attempt)));
        self.of.push(of.map(signed));
        let text = |of: fn(&'a NewTask) -> &'a str| task.map(of);
        self.queues.push(task.and_then(|task| task.queue.as_deref()));
        self.names.push(text(|task| &task.name));
        self.inputs.push(text(|task| &task.input));
        self.limits.push(text(|task| &task.limits));
        self.run_at.push(task.map_or(append.at_ms, |task| task.run_at_ms));
        self.start_by.push(task.and_then(|task| task.start_by_ms));
        self.close_by.push(task.and_then(|task| task.close_by_ms));
        self.details.push(task.and_then(|task| task.details.as_deref()));
        self.owners.push(append.owner.0);
        self.cancelled.push((kind == 4).then(|| outcome_json(&AttemptOutcome::Cancelled)));
        self.starts.push(append.starts());
        let place = task.map(|task| &task.place);
        self.limit_keys.push(place.map_or("", |place| &place.limit_key));
        self.priorities.push(place.map_or(3, |place| place.priority));
        self.fair_keys.push(place.map_or("", |place| &place.fair_key));
        self.weights.push(place.map_or(1, |place| place.weight));
    }

    pub(super) fn bind(self, query: Bound<'a>) -> Bound<'a> {
        let query = query.bind(self.kinds).bind(self.executions).bind(self.activities).bind(self.attempts);
        let query =
            query.bind(self.of).bind(self.queues).bind(self.names).bind(self.inputs).bind(self.limits);
        let query = query.bind(self.run_at).bind(self.start_by).bind(self.close_by);
        let query = query.bind(self.owners).bind(self.cancelled).bind(self.starts).bind(self.details);
        query.bind(self.limit_keys).bind(self.priorities).bind(self.fair_keys).bind(self.weights)
    }
}
