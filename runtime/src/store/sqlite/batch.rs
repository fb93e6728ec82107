//! Turns appends into the parameters of one batch: JSON arrays by hand, long texts end to end in one blob.
//!
//! The hot path: no `serde_json::Value`, no call per row, nothing kept of an append but its bytes.

use super::tokens::Fate;
use super::{sql, stream};
use crate::status::ExecutionStatus;
use crate::store::decide::{NewRow, RowWrite, Sections, reuse_code};
use crate::store::stream::Publication;
use crate::store::{
    Append, AttemptChange, AttemptRow, NewExecution, NewTask, Reply, Successor, Suspension, TaskChange,
};
use abide_core::ExecutionId;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Display, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// The parameters of one batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) sections: Sections,
    blob: Vec<u8>,
    journal: Rows,
    journal_len: i64,
    owners: Vec<i64>,
    births: Rows,
    /// Hashes of the workflow ids of its starts.
    workflow_ids: HashSet<u64>,
    born: Rows,
    consumed: Rows,
    messages: Rows,
    closes: Rows,
    rows: Rows,
    rows_len: i64,
    tokens: Rows,
    tasks: Rows,
    dropped: Rows,
    attempts: Rows,
    replies: Rows,
    children: Rows,
    reports: Rows,
    followed: Rows,
    /// Streams and items.
    published: Option<(String, String)>,
}

/// The bytes before a body in the blob: execution, seq, n, at, writer, whether a start, the body's length. Decimal, so
/// that SQL can read them with `CAST(substr(..) AS INTEGER)`.
const HEAD: usize = 19 + 19 + 10 + 19 + 19 + 1 + 10;

/// A JSON array under construction.
#[derive(Default)]
struct Rows(String);

impl Rows {
    /// Where the next element is to be written.
    fn next(&mut self) -> &mut String {
        self.0.push(if self.0.is_empty() { '[' } else { ',' });
        &mut self.0
    }

    fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('[');
        }
        self.0.push(']');
        self.0
    }
}

impl Batch {
    /// The batch of these appends.
    pub(super) fn of<'a>(appends: impl Iterator<Item = &'a Append>) -> Self {
        let (mut batch, mut publication) = (Self::default(), Publication::default());
        for append in appends {
            batch.add(append);
            append.publish_to(&mut publication);
        }
        if batch.sections.has(Sections::PUBLISHED) {
            batch.published = Some(stream::json(&publication));
        }
        batch
    }

    fn add(&mut self, append: &Append) {
        if !self.owners.contains(&append.owner.0) {
            self.owners.push(append.owner.0);
        }
        debug_assert!(append.dispatches.is_empty(), "their receivers are found before");
        self.sections = self.sections.and(Sections::of(append));
        let (id, owner, at) = (append.execution.0, append.owner.0, append.at_ms);
        if append.n > 0 {
            let begin = self.blob.len() + 1;
            let seq = i64::try_from(append.seq.0).unwrap_or(i64::MAX);
            let (n, starts) = (i64::from(append.n), i64::from(append.starts()));
            for (number, width) in [
                (id, 19),
                (seq, 19),
                (n, 10),
                (at, 19),
                (owner, 19),
                (starts, 1),
                (append.body.len() as i64, 10),
            ] {
                digits(&mut self.blob, number, width);
            }
            debug_assert_eq!(self.blob.len() + 1 - begin, HEAD, "every number fits its width");
            self.blob.extend_from_slice(append.body.as_bytes());
            put(self.journal.next(), format_args!("{begin}"));
            self.journal_len += 1;
        }
        append.births.iter().for_each(|new| self.add_birth(&NewRow::of(append, new)));
        for child in &append.children {
            put(self.children.next(), format_args!("{}", child.json()));
        }
        if let Some(write) = RowWrite::of(append) {
            self.add_row(&write);
        }
        if let Some(close) = append.close.as_ref().filter(|_| append.closes_row()) {
            put(self.closes.next(), format_args!("[{id},{}]", close.kind as u8));
        }
        if let Some(end) = append.report.as_ref().filter(|_| append.closes_row()) {
            put(self.reports.next(), format_args!("[{id},{},{at}]", text(end)));
        }
        if let Some(next) = &append.successor {
            self.add_successor(append, next);
        }
        for row in &append.consumed {
            put(self.consumed.next(), format_args!("{row}"));
        }
        for message in append.sent() {
            let (to, kind, at) = (message.execution.0, message.kind.code(), message.at_ms);
            let (request_id, body) = (text(&message.request_id), text(&message.body));
            put(self.messages.next(), format_args!("[{to},{kind},{request_id},{body},{at},{id}]"));
        }
        for change in append.task_changes() {
            self.add_task(append, change);
        }
        for change in append.attempt_changes() {
            self.add_attempt(append.execution, change);
        }
        for Reply { request_id, body, stage, expires_at_ms, .. } in &append.replies {
            let (offset, len) = self.cut(body);
            let key = text(request_id);
            put(
                self.replies.next(),
                format_args!("[{key},{offset},{len},{stage},{expires_at_ms},{id},{at}]"),
            );
        }
    }

    fn add_successor(&mut self, append: &Append, next: &Successor) {
        let (input, input_len) = self.cut(&next.input);
        let (context, context_len) = next.context.as_ref().map_or((0, 0), |context| self.cut(context));
        put(
            self.followed.next(),
            format_args!(
                "[{},{},{},{},{},{},{},{input},{input_len},{context},{context_len},{},{},{}]",
                append.execution,
                next.id,
                text(&next.run_id),
                text(&next.workflow_type),
                text(&next.queue),
                or_null(next.owned.then_some(append.owner)),
                next.due_ms,
                next.created_at_ms,
                next.attempt,
                or_null(next.close_by_ms),
            ),
        );
    }

    fn add_attempt(&mut self, id: ExecutionId, change: &AttemptChange) {
        match change {
            AttemptChange::Drop(activity) => put(self.dropped.next(), format_args!("[{id},{activity}]")),
            AttemptChange::Keep(row) => {
                let (failure, len) = self.cut(&row.failure);
                let AttemptRow { activity, attempt, next_at_ms, .. } = row;
                let row = format_args!("[{id},{activity},{attempt},{next_at_ms},{failure},{len}]");
                put(self.attempts.next(), row);
            }
        }
    }

    /// What has to go, or to be there, and what comes.
    fn add_task(&mut self, append: &Append, change: &TaskChange) {
        let (activity, attempt, fate) = match change {
            TaskChange::Insert(task) => return self.insert_task(append, task, 0),
            TaskChange::Replace { of, with } => {
                self.insert_task(append, with, 1);
                (with.activity, *of, Fate::Replaced)
            }
            TaskChange::Settle { activity, attempt } => (*activity, *attempt, Fate::Decided),
            TaskChange::Drop(activity) => (*activity, 0, Fate::Dropped),
            TaskChange::Cancel(activity) => (*activity, 0, Fate::Cancelled),
        };
        let (id, at, fate) = (append.execution, append.at_ms, fate as u8);
        put(self.tokens.next(), format_args!("[{id},{activity},{attempt},{fate},{at}]"));
    }

    fn insert_task(&mut self, append: &Append, task: &NewTask, replaces: u8) {
        let (input, input_len) = self.cut(&task.input);
        let (details, details_len) = task.details.as_deref().map(|details| self.cut(details)).unzip();
        let (id, NewTask { activity, attempt, run_at_ms, .. }) = (append.execution, task);
        put(
            self.tasks.next(),
            format_args!(
                "[{id},{activity},{attempt},{},{},{input},{input_len},{},{run_at_ms},{},{},{},{},{replaces}]",
                or_null(task.queue.as_deref().map(text)),
                text(&task.name),
                text(&task.limits),
                or_null(task.start_by_ms),
                or_null(task.close_by_ms),
                or_null(details),
                or_null(details_len),
            ),
        );
    }

    fn add_birth(&mut self, row: &NewRow<'_>) {
        let NewExecution {
            id,
            workflow_id,
            run_id,
            request_id,
            workflow_type,
            queue,
            created_at_ms,
            reuse,
            terms,
            ..
        } = row.new;
        let build = row.build.map(|build| format!("[{}]", text(build)));
        let (result, result_len) = row.result.map_or((0, 0), |result| self.cut(result));
        let mut hasher = DefaultHasher::new();
        workflow_id.hash(&mut hasher);
        let reuse = reuse_code(*reuse, self.workflow_ids.insert(hasher.finish()));
        put(
            self.births.next(),
            format_args!(
                "[{id},{},{},{},{},{},{},{},{},{},{},{},{created_at_ms},{},{result},{result_len},{reuse},{},{},{},{}]",
                text(workflow_id),
                text(run_id),
                or_null(request_id.as_deref().map(text)),
                text(workflow_type),
                text(queue),
                row.status.code(),
                or_null(row.owner),
                or_null(row.wake_at_ms),
                i32::from(row.active),
                or_null(row.suspension.map(suspension)),
                or_null(build.as_deref().map(text)),
                or_null(row.closed_at_ms),
                or_null(terms.close_by_ms),
                or_null(terms.chain_by_ms),
                or_null(terms.context.as_deref().map(text)),
                or_null(row.next),
            ),
        );
        put(self.born.next(), format_args!("{id}"));
    }

    fn add_row(&mut self, row: &RowWrite<'_>) {
        let (result, result_len) = row.result.map_or((0, 0), |result| self.cut(result));
        put(
            self.rows.next(),
            format_args!(
                "[{},{},{},{},{},{},{},{result},{result_len},{},{},{},{},{},{},{},{},{},{}]",
                row.execution,
                row.owner,
                or_null(row.status.map(ExecutionStatus::code)),
                i32::from(row.releases),
                i32::from(row.wake_at_ms.is_some()),
                or_null(row.wake_at_ms.flatten()),
                or_null(row.active.map(i32::from)),
                or_null(row.closed_at_ms),
                i32::from(row.resets_crashes),
                row.recovered as i32,
                or_null(row.suspension.map(suspension)),
                or_null(row.build.map(text)),
                or_null(row.retried_ms),
                or_null(row.rev),
                or_null(row.next),
                i32::from(row.marks_orphans),
                i32::from(row.begins),
            ),
        );
        self.rows_len += 1;
    }

    /// Puts a text into the blob; where it begins (from 1) and how many bytes it has.
    fn cut(&mut self, text: &str) -> (usize, usize) {
        let offset = self.blob.len() + 1;
        self.blob.extend_from_slice(text.as_bytes());
        (offset, text.len())
    }

    /// The call. `transaction`: with BEGIN and COMMIT of its own.
    pub(super) fn query(self, transaction: bool) -> Query<'static, Sqlite, SqliteArguments> {
        let mut owners = Rows::default();
        for owner in self.owners {
            put(owners.next(), format_args!("{owner}"));
        }
        let query = sqlx::query(AssertSqlSafe(statement(self.sections, transaction)))
            .bind(self.journal.finish())
            .bind(self.blob)
            .bind(owners.finish())
            .bind(self.journal_len)
            .bind(self.births.finish())
            .bind(self.consumed.finish())
            .bind(self.messages.finish())
            .bind(self.closes.finish())
            .bind(self.rows.finish())
            .bind(self.rows_len)
            .bind(self.born.finish());
        // No parameter before one that is used may be missing.
        let last = Sections::CHILDREN.and(Sections::REPORTS).and(Sections::FOLLOWED).and(Sections::PUBLISHED);
        let later = Sections::REPLIES.and(last);
        let query = match self.sections.has(Sections::TASKS.and(Sections::ATTEMPTS).and(later)) {
            false => query,
            true => query.bind(self.tokens.finish()).bind(self.tasks.finish()),
        };
        let query = match self.sections.has(Sections::ATTEMPTS.and(later)) {
            false => query,
            true => query.bind(self.dropped.finish()).bind(self.attempts.finish()),
        };
        let query = match self.sections.has(later) {
            false => query,
            true => query.bind(self.replies.finish()),
        };
        let query = match self.sections.has(last) {
            false => query,
            true => query.bind(self.children.finish()).bind(self.reports.finish()),
        };
        let query = match self.sections.has(Sections::FOLLOWED.and(Sections::PUBLISHED)) {
            false => query,
            true => query.bind(self.followed.finish()),
        };
        match self.published {
            None => query,
            Some((streams, items)) => query.bind(streams).bind(items),
        }
    }
}

/// The texts that were made. `true`: with a transaction of its own.
type Texts = RwLock<HashMap<(Sections, bool), Arc<str>>>;

/// The text for these sections, made once.
fn statement(sections: Sections, transaction: bool) -> Arc<str> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(RwLock::default);
    let key = (sections, transaction);
    if let Some(text) = TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Arc::clone(text);
    }
    let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(texts.entry(key).or_insert_with(|| sql::text(sections, transaction)))
}

/// The suspension as JSON text within JSON.
fn suspension(suspension: &Suspension) -> String {
    text(&suspension.json())
}

/// Writes a number with leading zeros, by hand: `write!` with a width took a fifth of the writer's time. None of these
/// numbers is negative.
fn digits(blob: &mut Vec<u8>, number: i64, width: usize) {
    let begin = blob.len();
    blob.resize(begin + width, b'0');
    let mut rest = number.max(0).unsigned_abs();
    for place in blob[begin..].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
}

/// Text as a JSON string.
fn text(text: &str) -> String {
    serde_json::to_string(text).expect("text is always JSON")
}

/// The value, or `null`, written where it goes.
fn or_null<T: Display>(value: Option<T>) -> impl Display {
    fmt::from_fn(move |f| match &value {
        Some(value) => value.fmt(f),
        None => f.write_str("null"),
    })
}

fn put(to: &mut String, element: fmt::Arguments<'_>) {
    to.write_fmt(element).expect("writing to a String does not fail");
}
