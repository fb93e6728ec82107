//! Turns appends into the parameters of one batch: JSON arrays by hand, long texts end to end in one blob.
//!
//! The hot path: no `serde_json::Value`, no call per row, nothing kept of an append but its bytes.

use super::sql;
use super::task::Fate;
use crate::policy::IdReusePolicy;
use crate::status::ExecutionStatus;
use crate::store::{Append, AttemptChange, AttemptRow, NewExecution, NewTask, RowChange, TaskChange};
use abide_core::ExecutionId;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite};
use std::collections::HashSet;
use std::fmt::{self, Display, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// The parameters of one batch.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) sections: u16,
    blob: Vec<u8>,
    journal: Rows,
    journal_len: i64,
    owners: Vec<i64>,
    creates: Rows,
    /// Hashes of the workflow ids of its starts.
    workflow_ids: HashSet<u64>,
    created: Rows,
    consumed: Rows,
    messages: Rows,
    closes: Rows,
    rows: Rows,
    rows_len: i64,
    tokens: Rows,
    tasks: Rows,
    dropped: Rows,
    attempts: Rows,
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
        let mut batch = Self::default();
        for append in appends {
            batch.add(append);
        }
        batch
    }

    fn add(&mut self, append: &Append) {
        if !self.owners.contains(&append.owner.0) {
            self.owners.push(append.owner.0);
        }
        let (id, owner, at) = (append.execution.0, append.owner.0, append.at_ms);
        if append.n > 0 {
            let begin = self.blob.len() + 1;
            let seq = i64::try_from(append.seq.0).unwrap_or(i64::MAX);
            let (n, create) = (i64::from(append.n), i64::from(append.create.is_some()));
            for (number, width) in [
                (id, 19),
                (seq, 19),
                (n, 10),
                (at, 19),
                (owner, 19),
                (create, 1),
                (append.body.len() as i64, 10),
            ] {
                digits(&mut self.blob, number, width);
            }
            debug_assert_eq!(self.blob.len() + 1 - begin, HEAD, "every number fits its width");
            self.blob.extend_from_slice(append.body.as_bytes());
            put(self.journal.next(), format_args!("{begin}"));
            self.journal_len += 1;
            self.sections |= sql::JOURNAL;
        }
        match (&append.create, &append.row) {
            (Some(new), row) => self.add_create(append, new, row.as_ref()),
            (None, Some(row)) => self.add_row(append, row),
            (None, None) => {}
        }
        if append.is_closing() && append.create.is_none() {
            put(self.closes.next(), format_args!("{id}"));
            self.sections |= sql::CLOSES;
        }
        for row in &append.consumed {
            put(self.consumed.next(), format_args!("{row}"));
            self.sections |= sql::CONSUMED;
        }
        for message in &append.messages {
            let (to, kind, at) = (message.execution.0, message.kind.code(), message.at_ms);
            let (request_id, body) = (text(&message.request_id), text(&message.body));
            put(self.messages.next(), format_args!("[{to},{kind},{request_id},{body},{at},{id}]"));
            self.sections |= sql::MESSAGES;
        }
        for change in &append.tasks {
            self.add_task(append, change);
            self.sections |= sql::TASKS;
        }
        for change in append.attempts.iter().filter(|_| !append.is_closing()) {
            self.add_attempt(append.execution, change);
            self.sections |= sql::ATTEMPTS;
        }
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
            TaskChange::Insert(task) => return self.insert_task(append, task),
            TaskChange::Replace { of, with } => {
                self.insert_task(append, with);
                (with.activity, *of, Fate::Decided)
            }
            TaskChange::Settle { activity, attempt } => (*activity, *attempt, Fate::Decided),
            TaskChange::Drop(activity) => (*activity, 0, Fate::Dropped),
            TaskChange::Cancel(activity) => (*activity, 0, Fate::Cancelled),
        };
        let (id, at, fate) = (append.execution, append.at_ms, fate as u8);
        put(self.tokens.next(), format_args!("[{id},{activity},{attempt},{fate},{at}]"));
    }

    fn insert_task(&mut self, append: &Append, task: &NewTask) {
        let (input, input_len) = self.cut(&task.input);
        put(
            self.tasks.next(),
            format_args!(
                "[{},{},{},{},{},{input},{input_len},{},{},{},{}]",
                append.execution,
                task.activity,
                task.attempt,
                or_null(task.queue.as_deref().map(text)),
                text(&task.name),
                text(&task.limits),
                task.run_at_ms,
                or_null(task.start_by_ms),
                or_null(task.close_by_ms),
            ),
        );
    }

    /// A start already owned, with the changes of its first turn in the same row.
    /// The input is not in the row: the journal's first event has it.
    fn add_create(&mut self, append: &Append, new: &NewExecution, change: Option<&RowChange>) {
        let default = RowChange::default();
        let row = change.unwrap_or(&default);
        let status = row.status.unwrap_or(ExecutionStatus::Running);
        let frees = row.release || status != ExecutionStatus::Running;
        let owner = (!frees).then_some(append.owner.0);
        let wake = if status == ExecutionStatus::Running { row.wake_at_ms.flatten() } else { None };
        let active = i32::from(row.active == Some(true) && status == ExecutionStatus::Running);
        let (suspension, build) = suspension(row);
        let build = build.map(|build| format!("[{build}]"));
        let (result, result_len) = row.result.as_ref().map_or((0, 0), |result| self.cut(result));
        let closed_at = append.is_closing().then_some(append.at_ms);
        let mut hasher = DefaultHasher::new();
        new.workflow_id.hash(&mut hasher);
        let reuse = match new.reuse {
            // A statement does not see its own rows: the second start of an id (or of its hash) is decided alone.
            _ if !self.workflow_ids.insert(hasher.finish()) => 3,
            IdReusePolicy::AllowDuplicate => 0,
            IdReusePolicy::AllowDuplicateFailedOnly => 1,
            IdReusePolicy::RejectDuplicate => 2,
        };
        let request_id = new.request_id.as_deref().map(text);
        put(
            self.creates.next(),
            format_args!(
                "[{},{},{},{},{},{},{},{},{},{active},{},{},{},{},{result},{result_len},{reuse}]",
                new.id,
                text(&new.workflow_id),
                text(&new.run_id),
                or_null(request_id),
                text(&new.workflow_type),
                text(&new.queue),
                status.code(),
                or_null(owner),
                or_null(wake),
                or_null(suspension),
                or_null(build.as_deref().map(text)),
                new.created_at_ms,
                or_null(closed_at),
            ),
        );
        put(self.created.next(), format_args!("{}", new.id));
        self.sections |= sql::CREATES;
    }

    fn add_row(&mut self, append: &Append, row: &RowChange) {
        let stops = row.status.is_some_and(|status| status != ExecutionStatus::Running);
        let release = i32::from(row.release || stops);
        let (sets_wake, wake) = match (stops, row.wake_at_ms) {
            (true, _) => (1, None),
            (false, Some(wake)) => (1, wake),
            (false, None) => (0, None),
        };
        let active = if stops { Some(false) } else { row.active };
        // What runs for a suspended execution may die with this owner, who is forgotten then.
        let recovered = match row.status {
            Some(ExecutionStatus::Suspended) if row.active == Some(true) => 2,
            _ => i32::from(row.clear_recovered),
        };
        let (suspension, build) = suspension(row);
        let build = build.or_else(|| row.offered_by.as_deref().map(text));
        let (result, result_len) = row.result.as_ref().map_or((0, 0), |result| self.cut(result));
        let closed_at = append.is_closing().then_some(append.at_ms);
        put(
            self.rows.next(),
            format_args!(
                "[{},{},{},{release},{sets_wake},{},{},{result},{result_len},{},{},{},{},{},{},{}]",
                append.execution,
                append.owner,
                or_null(row.status.map(ExecutionStatus::code)),
                or_null(wake),
                or_null(active.map(i32::from)),
                or_null(closed_at),
                i32::from(row.reset_crashes),
                recovered,
                or_null(suspension),
                or_null(build),
                or_null(row.retried_ms),
                or_null(append.rev),
            ),
        );
        self.rows_len += 1;
        self.sections |= sql::ROWS;
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
            .bind(self.creates.finish())
            .bind(self.consumed.finish())
            .bind(self.messages.finish())
            .bind(self.closes.finish())
            .bind(self.rows.finish())
            .bind(self.rows_len)
            .bind(self.created.finish());
        // No parameter before one that is used may be missing.
        let query = match self.sections & (sql::TASKS | sql::ATTEMPTS) {
            0 => query,
            _ => query.bind(self.tokens.finish()).bind(self.tasks.finish()),
        };
        match self.sections & sql::ATTEMPTS {
            0 => query,
            _ => query.bind(self.dropped.finish()).bind(self.attempts.finish()),
        }
    }
}

/// The text for these sections, made once.
fn statement(sections: u16, transaction: bool) -> Arc<str> {
    const COMBINATIONS: usize = sql::COMBINATIONS as usize;
    static TEXTS: [OnceLock<Arc<str>>; 2 * COMBINATIONS] = [const { OnceLock::new() }; 2 * COMBINATIONS];
    let index = usize::from(sections) + if transaction { COMBINATIONS } else { 0 };
    Arc::clone(TEXTS[index].get_or_init(|| sql::text(sections, transaction)))
}

/// The suspension as JSON text within JSON, and the build to note if others may try.
fn suspension(row: &RowChange) -> (Option<String>, Option<String>) {
    let Some(suspension) = &row.suspension else { return (None, None) };
    let json = serde_json::to_string(suspension).expect("a suspension is plain text and numbers");
    (Some(text(&json)), suspension.other_builds.then(|| text(&suspension.build)))
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
