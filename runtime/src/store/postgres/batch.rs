//! Turns appends into one statement: what a group commit sends, as arrays that `unnest` takes apart.
//!
//! The hot path: one round trip, which is its own transaction. Each part that changes something joins the
//! fence, a row lock on the lease (PROTOCOL 13): without the lease nothing of it happens, and the check at
//! the end raises. That check also counts rows written against rows sent (PROTOCOL 9). Sections that a batch
//! does not need are left out; the text is made and prepared once per combination.

use super::attempt::Attempts;
use super::children::{Children, Reports};
use super::failure::{CONFLICT, FENCED, LOST};
use super::followed::Followed;
use super::replies::Replies;
use super::rows::{Births, Changes, Journal, Messages};
use super::shared::Shared;
use super::sql::numbered;
use super::stream::Published;
use super::tokens::Tasks;
use crate::store::Append;
use crate::store::decide::{Concerned, NewRow, RowWrite, Sections};
use crate::store::message::moving_kinds;
use crate::store::stream::Publication;
use abide_core::Incarnation;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use std::collections::HashSet;
use std::sync::Arc;

/// `$1` the writer's slot, `$2` the owners.
const FENCE: &str = "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE slot = $1 AND worker = ANY($2) FOR KEY SHARE)";

const CONSUME: &str = ", gone AS (
    DELETE FROM {s}.inbox i USING unnest(@1::bigint[], @2::bigint[]) AS d(id, owner), fence
    WHERE i.id = d.id AND fence.worker = d.owner)";

/// An execution that closes leaves no attempts behind, and no messages but queries, which it still answers. No
/// message can come meanwhile: the guard has locked the row (PROTOCOL 38).
const CLOSE: &str = concat!(
    ", ended AS (
    DELETE FROM {s}.task t USING unnest(@1::bigint[], @2::bigint[]) AS d(id, owner), fence
    WHERE t.execution = d.id AND fence.worker = d.owner),
ended_attempts AS (
    DELETE FROM {s}.attempt a USING unnest(@1::bigint[], @2::bigint[]) AS d(id, owner), fence
    WHERE a.execution = d.id AND fence.worker = d.owner),
emptied AS (
    DELETE FROM {s}.inbox i USING unnest(@1::bigint[], @2::bigint[], @3::boolean[]) AS d(id, owner, handed), fence
    WHERE i.execution = d.id AND fence.worker = d.owner AND i.kind <> 2 AND NOT (d.handed AND i.kind ",
    moving_kinds!(),
    "))"
);

/// The arrays of one batch.
#[derive(Default)]
pub(super) struct Batch<'a> {
    pub(super) sections: Sections,
    owners: Vec<i64>,
    births: Births<'a>,
    children: Children,
    journal: Journal<'a>,
    consumed: (Vec<i64>, Vec<i64>),
    messages: Messages<'a>,
    reports: Reports<'a>,
    changes: Changes<'a>,
    tasks: Tasks<'a>,
    attempts: Attempts<'a>,
    closes: (Vec<i64>, Vec<i64>, Vec<bool>),
    followed: Followed<'a>,
    replies: Replies<'a>,
    published: Publication<'a>,
    /// The workflow ids of its starts: a statement does not see its own rows, so a second one is decided alone.
    workflow_ids: HashSet<&'a str>,
}

impl<'a> Batch<'a> {
    /// The batch of these appends.
    pub(super) fn of(appends: impl Iterator<Item = &'a Append>) -> Self {
        let mut batch = Self::default();
        for append in appends {
            batch.add(append);
        }
        batch
    }

    fn add(&mut self, append: &'a Append) {
        let (id, owner) = (append.execution.0, append.owner.0);
        if !self.owners.contains(&owner) {
            self.owners.push(owner);
        }
        debug_assert!(append.dispatches.is_empty(), "their receivers are found before");
        self.sections = self.sections.and(Sections::of(append));
        if append.n > 0 {
            self.journal.add(append);
        }
        for new in &append.births {
            let first = self.workflow_ids.insert(&new.workflow_id);
            self.births.add(append, &NewRow::of(append, new), first);
        }
        append.children.iter().for_each(|child| self.children.add(append, child));
        if let Some(write) = RowWrite::of(append) {
            self.changes.add(&write);
        }
        if append.closes_row() {
            self.closes.0.push(id);
            self.closes.1.push(owner);
            self.closes.2.push(append.successor.is_some());
        }
        if let Some(next) = &append.successor {
            self.followed.add(append, next);
        }
        for row in &append.consumed {
            self.consumed.0.push(*row);
            self.consumed.1.push(owner);
        }
        self.reports.add(append);
        append.sent().for_each(|message| self.messages.add(append, message));
        append.publish_to(&mut self.published);
        append.task_changes().iter().for_each(|change| self.tasks.add(append, change));
        append.attempt_changes().iter().for_each(|change| self.attempts.add(append, change));
        append.replies.iter().for_each(|reply| self.replies.add(append, reply));
    }

    /// The call.
    pub(super) fn query(self, text: AssertSqlSafe<Arc<str>>, slot: i16) -> Query<'a, Postgres, PgArguments> {
        let has = |section| self.sections.has(section);
        let mut query = sqlx::query(text).bind(slot).bind(self.owners);
        if has(Sections::MESSAGES) {
            query = query.bind(self.messages.receivers());
        }
        if has(Sections::ROWS) {
            query = self.changes.bind(query);
        }
        if has(Sections::BIRTHS) {
            query = self.births.bind(query);
        }
        if has(Sections::CHILDREN) {
            query = self.children.bind(query);
        }
        if has(Sections::FOLLOWED) {
            query = self.followed.bind(query);
        }
        if has(Sections::JOURNAL) {
            query = self.journal.bind(query);
        }
        if has(Sections::TASKS) {
            query = self.tasks.bind(query);
        }
        if has(Sections::ATTEMPTS) {
            query = self.attempts.bind(query);
        }
        if has(Sections::CLOSES) {
            query = query.bind(self.closes.0).bind(self.closes.1).bind(self.closes.2);
        }
        if has(Sections::CONSUMED) {
            query = query.bind(self.consumed.0).bind(self.consumed.1);
        }
        if has(Sections::MESSAGES) {
            query = self.messages.bind(query);
        }
        if has(Sections::REPORTS) {
            query = self.reports.bind(query);
        }
        if has(Sections::REPLIES) {
            query = self.replies.bind(query);
        }
        match has(Sections::PUBLISHED) {
            true => Published::of(&self.published).bind(query),
            false => query,
        }
    }
}

/// What a batch has written.
pub(super) struct Written {
    /// The ids of the starts that are in.
    pub(super) born: Vec<i64>,
    /// Whom it concerns.
    pub(super) concerned: Concerned,
}

/// Writes a batch.
pub(super) async fn write_batch(
    connection: &mut PgConnection,
    shared: &Shared,
    batch: Batch<'_>,
    slot: i16,
) -> Result<Written, sqlx::Error> {
    let text = shared.sql.batch(batch.sections, text);
    let row = batch.query(text, slot).fetch_one(connection).await?;
    let owners: Vec<i64> = row.try_get(2)?;
    let concerned = Concerned {
        owners: owners.into_iter().map(Incarnation).collect(),
        queues: row.try_get::<Vec<String>, _>(3)?.into_iter().collect(),
    };
    Ok(Written { born: row.try_get(1)?, concerned })
}

/// The text for these sections, still with `{s}`. Order is that of [`Batch::query`], and that of the locks
/// (PROTOCOL 95): lease, rows of executions, keys of the journal, tasks, inboxes. Within a statement only a
/// reference keeps an order, so each section that locks what another session may wait for reads from those
/// before it; what only a row's holder touches (its attempts, its consumed messages, what its close deletes)
/// comes whenever it comes.
pub(super) fn text(sections: Sections) -> String {
    let has = |section| sections.has(section);
    let deletes = [(Sections::CLOSES, CLOSE, 3), (Sections::CONSUMED, CONSUME, 2)];
    let (mut text, mut next) = (FENCE.to_owned(), 3);
    let mut checks =
        vec![format!("WHEN (SELECT count(*) FROM fence) <> cardinality($2::bigint[]) THEN '{FENCED}'")];
    // Adds a section; the number of its first parameter.
    let mut add = |section: &str, parameters: usize| {
        let first = next;
        text.push_str(&numbered(section, first, parameters));
        next += parameters;
        first
    };
    if has(Sections::MESSAGES) {
        add(Messages::RECEIVERS, 1);
    }
    if has(Sections::ROWS) {
        let after = if has(Sections::MESSAGES) { Changes::AFTER_MESSAGES } else { "" };
        let first = add(&Changes::SQL.replace("@@", after), Changes::PARAMETERS);
        checks.push(format!(
            "WHEN (SELECT count(*) FROM changed) <> cardinality(${first}::bigint[]) THEN '{LOST}'"
        ));
    }
    let born = has(Sections::BIRTHS).then(|| add(Births::SQL, Births::PARAMETERS));
    if has(Sections::CHILDREN) {
        let first = add(&Children::text(has(Sections::BIRTHS)), Children::PARAMETERS);
        checks.push(Children::check(first, has(Sections::BIRTHS)));
    }
    if has(Sections::FOLLOWED) {
        let handed = Followed::handed(has(Sections::ROWS), has(Sections::BIRTHS));
        add(&Followed::SQL.replace("@@", &handed), Followed::PARAMETERS);
        checks.push(format!("WHEN {} THEN '{CONFLICT}'", Followed::CHECK));
    }
    if has(Sections::JOURNAL) {
        let first = add(&Journal::SQL.replace("@@", &turns_after(sections)), Journal::PARAMETERS);
        checks.insert(1, turns_check(first, born));
    }
    if has(Sections::TASKS) {
        let conditions = [
            if has(Sections::JOURNAL) { Tasks::AFTER_JOURNAL } else { "" },
            if has(Sections::BIRTHS) { Tasks::OF_STARTED } else { "" },
        ];
        add(&Tasks::SQL.replace("@@", &conditions.concat()), Tasks::PARAMETERS);
        checks.push(format!("WHEN {} THEN '{CONFLICT}'", Tasks::CHECK));
    }
    if has(Sections::ATTEMPTS) {
        let turns = if has(Sections::JOURNAL) { Attempts::AFTER_TURNS } else { "" };
        let rows = if has(Sections::ROWS) { Attempts::AFTER_ROWS } else { "" };
        add(&Attempts::SQL.replace("@@", &format!("{turns}{rows}")), Attempts::PARAMETERS);
    }
    for (_, part, parameters) in deletes.iter().filter(|(section, ..)| has(*section)) {
        add(part, *parameters);
    }
    if has(Sections::MESSAGES) {
        add(&Messages::SQL.replace("@@", &Messages::to(sections)), Messages::PARAMETERS);
    }
    if has(Sections::REPORTS) {
        add(Reports::SQL, Reports::PARAMETERS);
    }
    if has(Sections::REPLIES) {
        add(&Replies::sql(sections), Replies::PARAMETERS);
    }
    if has(Sections::PUBLISHED) {
        add(&Published::section(sections), Published::PARAMETERS);
    }
    let concerned = concerned(sections);
    let born = if has(Sections::BIRTHS) { "ARRAY(SELECT id FROM born)" } else { "'{}'::bigint[]" };
    format!("{text}\nSELECT (CASE {} ELSE '0' END)::integer, {born}, {concerned}", checks.join("\n    "))
}

/// All turns are in, but those of starts that are not. `first` and `born`: the parameters of their ids.
fn turns_check(first: usize, born: Option<usize>) -> String {
    let unstarted = born.map_or(String::new(), |ids| {
        format!(" - cardinality(${ids}::bigint[]) + (SELECT count(*) FROM born)")
    });
    format!(
        "WHEN (SELECT count(*) FROM written) <> cardinality(${first}::bigint[]){unstarted} THEN 'abide_rows'"
    )
}

/// What the turns' rows come after, and which of them are in.
fn turns_after(sections: Sections) -> String {
    let part = |section, text| if sections.has(section) { text } else { "" };
    let rows_first = !mutant!(KeysBeforeRows);
    let conditions = [
        part(Sections::MESSAGES, Journal::AFTER_RECEIVERS),
        if rows_first { part(Sections::ROWS, Journal::AFTER_ROWS) } else { "" },
        part(Sections::FOLLOWED, Journal::AFTER_FOLLOWED),
        part(Sections::BIRTHS, Journal::OF_STARTED),
    ];
    conditions.concat()
}

/// Whom the batch concerns, as two arrays: workers, and the task queues of receivers without an owner.
fn concerned(sections: Sections) -> String {
    let parts = [
        sections.has(Sections::MESSAGES).then_some(Messages::CONCERNED),
        (sections.has(Sections::MESSAGES) && sections.has(Sections::BIRTHS))
            .then_some(Messages::CONCERNED_STARTS),
        sections.has(Sections::TASKS).then_some(Tasks::CONCERNED),
        sections.has(Sections::CHILDREN).then_some(Children::CONCERNED),
        sections.has(Sections::REPORTS).then_some(Reports::CONCERNED),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "'{}'::bigint[], '{}'::text[]".to_owned();
    }
    let parts = parts.join(" UNION ALL ");
    format!(
        "ARRAY(SELECT DISTINCT owner FROM ({parts}) c WHERE owner IS NOT NULL),
    ARRAY(SELECT DISTINCT queue FROM ({parts}) c WHERE owner IS NULL AND queue IS NOT NULL)"
    )
}
