//! Schedules: the statements of a transaction that steps them (PROTOCOL 68).

use super::failure::kind;
use super::message::put_reply;
use super::start;
use super::store::SqliteStore;
use crate::store::decide::{Birth, ChainEnd, Desk, ask, parks_sql, pass};
use crate::store::failure::Kind;
use crate::store::row::{self, all, schedule_columns};
use crate::store::{
    InboxRow, NewExecution, REPORTS_AT_ONCE, Reply, RunKeys, SCHEDULES_A_PAGE, STEPS_AT_ONCE, ScheduleAnswer,
    ScheduleAsk, ScheduleRow, Schedules, Stepped, StoreFuture,
};
use sqlx::{Executor, SqliteConnection};
use tokio::sync::watch;

/// Those with reports. Of a newer release's rows nothing is known.
macro_rules! told {
    () => {
        "SELECT i.execution FROM inbox i INDEXED BY inbox_unparked CROSS JOIN schedule x ON x.number = i.execution
    WHERE NOT i.parked AND i.execution < 0 AND i.kind = 7 AND NOT x.halted"
    };
}

/// When the next one is due, and whether one has a report.
pub(super) const LOOK: &str = concat!(
    "SELECT (SELECT s.next_at FROM schedule s WHERE s.next_at IS NOT NULL ORDER BY s.next_at LIMIT 1), EXISTS (",
    told!(),
    ")"
);

/// `$1` now, `$2` the most.
pub(super) const DUE: &str = concat!(
    "SELECT ",
    schedule_columns!(),
    " FROM schedule s WHERE s.number IN (
    SELECT number FROM (
        SELECT d.number FROM schedule d WHERE d.next_at IS NOT NULL AND d.next_at <= $1 ORDER BY d.next_at LIMIT $2)
    UNION SELECT execution FROM (",
    told!(),
    " LIMIT 1000))
ORDER BY s.next_at IS NULL, s.next_at, s.number LIMIT $2"
);

const ROW: &str = concat!("SELECT ", schedule_columns!(), " FROM schedule s WHERE s.id = $1");

/// `$1` after which, `$2` the most.
pub(super) const PAGE: &str =
    concat!("SELECT ", schedule_columns!(), " FROM schedule s WHERE s.id > $1 ORDER BY s.id LIMIT $2");

/// `$1` the schedules, `$2` the most.
pub(super) const REPORTS: &str = "SELECT id, execution, kind, request_id, body, at FROM inbox
    WHERE execution IN (SELECT value FROM json_each($1)) AND kind = 7 AND NOT parked ORDER BY id LIMIT $2";

/// A run has, or had, this workflow id: `$1`.
pub(super) const IS_TAKEN: &str = "SELECT EXISTS (SELECT 1 FROM execution WHERE workflow_id = $1)";

/// `$1` the workflow id, `$2` the schedule, `$3` the message's kind, `$4` its key, `$5` its body, `$6` now.
pub(super) const END: &str = concat!(
    "INSERT INTO inbox (execution, kind, request_id, body, at, parked)
SELECT e.id, $3, $4, $5, $6, ",
    parks_sql!("e.status", "$3"),
    " FROM execution e WHERE e.workflow_id = $1 AND e.status < 10 AND e.schedule = $2
ON CONFLICT DO NOTHING"
);

const WRITE: &str =
    "UPDATE schedule SET spec = $2, action = $3, policy = $4, state = $5, note = $6, paused = $7,
    halted = $8, next_at = $9, last_slot = $10, version = $11 WHERE number = $1";

const INSERT: &str =
    "INSERT INTO schedule (number, spec, action, policy, state, note, paused, halted, next_at,
    last_slot, version, id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (id) DO NOTHING";

/// One job of the writer, whose lock makes looking and deciding one step.
struct Job<'c> {
    connection: &'c mut SqliteConnection,
    now_ms: i64,
}

impl Desk for Job<'_> {
    type Error = sqlx::Error;

    async fn due(&mut self) -> sqlx::Result<(Vec<ScheduleRow>, i64)> {
        let due = sqlx::query(DUE).bind(self.now_ms).bind(STEPS_AT_ONCE);
        Ok((all(&due.fetch_all(&mut *self.connection).await?, row::schedule)?, self.now_ms))
    }

    async fn next_due(&mut self) -> sqlx::Result<Option<i64>> {
        let look = sqlx::query_as::<_, (Option<i64>, bool)>(LOOK).fetch_one(&mut *self.connection);
        Ok(look.await?.0)
    }

    async fn row(&mut self, id: &str) -> sqlx::Result<(Option<ScheduleRow>, i64)> {
        let found = sqlx::query(ROW).bind(id).fetch_optional(&mut *self.connection).await?;
        Ok((found.as_ref().map(row::schedule).transpose()?, self.now_ms))
    }

    async fn reports(&mut self, numbers: &[i64]) -> sqlx::Result<Vec<InboxRow>> {
        let numbers = serde_json::to_string(numbers).unwrap_or_default();
        let reports = sqlx::query(REPORTS).bind(numbers).bind(REPORTS_AT_ONCE);
        all(&reports.fetch_all(&mut *self.connection).await?, row::message)
    }

    async fn mark(&mut self) -> sqlx::Result<()> {
        self.connection.execute("SAVEPOINT schedule").await.map(drop)
    }

    async fn keep(&mut self) -> sqlx::Result<()> {
        self.connection.execute("RELEASE schedule").await.map(drop)
    }

    async fn undo(&mut self) -> sqlx::Result<()> {
        self.connection.execute("ROLLBACK TO schedule; RELEASE schedule").await.map(drop)
    }

    async fn start(&mut self, new: &NewExecution) -> sqlx::Result<Birth> {
        let taken = sqlx::query_scalar::<_, bool>(IS_TAKEN).bind(&new.workflow_id);
        if taken.fetch_one(&mut *self.connection).await? {
            return Ok(Birth::Taken);
        }
        start::insert(self.connection, new).await?;
        Ok(Birth::Born)
    }

    async fn end(&mut self, end: ChainEnd<'_>) -> sqlx::Result<bool> {
        let send = sqlx::query(END).bind(end.workflow_id).bind(end.number).bind(end.kind().code());
        let send = send.bind(end.request_id).bind(end.body).bind(self.now_ms);
        send.execute(&mut *self.connection).await.map(|_| true)
    }

    async fn consume(&mut self, ids: &[i64]) -> sqlx::Result<()> {
        const CONSUME: &str = "DELETE FROM inbox WHERE id IN (SELECT value FROM json_each($1))";
        let ids = serde_json::to_string(ids).unwrap_or_default();
        sqlx::query(CONSUME).bind(ids).execute(&mut *self.connection).await.map(drop)
    }

    async fn write(&mut self, row: &ScheduleRow) -> sqlx::Result<()> {
        bound(WRITE, row).execute(&mut *self.connection).await.map(drop)
    }

    async fn insert(&mut self, row: &ScheduleRow) -> sqlx::Result<bool> {
        let insert = bound(INSERT, row).bind(row.id.clone()).bind(row.created_at_ms);
        Ok(insert.execute(&mut *self.connection).await?.rows_affected() == 1)
    }

    async fn delete(&mut self, number: i64) -> sqlx::Result<()> {
        for delete in ["DELETE FROM schedule WHERE number = $1", "DELETE FROM inbox WHERE execution = $1"] {
            sqlx::query(delete).bind(number).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, key: &str) -> sqlx::Result<Option<String>> {
        let reply = sqlx::query_scalar("SELECT body FROM reply WHERE request_id = $1").bind(key);
        reply.fetch_optional(&mut *self.connection).await
    }

    async fn put_reply(&mut self, reply: &Reply, now_ms: i64) -> sqlx::Result<()> {
        put_reply(self.connection, reply, now_ms).await
    }

    fn refusal(error: &sqlx::Error) -> Option<String> {
        (kind(error) == Kind::Refused).then(|| format!("the database refuses it: {error}"))
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// A statement with the columns that change.
fn bound(text: &'static str, row: &ScheduleRow) -> Query {
    let ScheduleRow { spec, action, policy, state, note, .. } = row.clone();
    let query =
        sqlx::query(text).bind(row.number).bind(spec).bind(action).bind(policy).bind(state).bind(note);
    let query = query.bind(row.paused).bind(row.halted).bind(row.next_at_ms).bind(row.last_slot_ms);
    query.bind(row.version)
}

impl Schedules for SqliteStore {
    /// Most calls find nothing, so a reader looks first.
    fn step_schedules(&self, keys: RunKeys) -> StoreFuture<'_, Stepped> {
        Box::pin(async move {
            let now_ms = self.shared.clock.now_ms();
            let look = self.reading(async |readers| {
                sqlx::query_as::<_, (Option<i64>, bool)>(LOOK).fetch_one(readers).await
            });
            let (next_due_ms, is_told) = look.await?;
            if !is_told && next_due_ms.is_none_or(|due_ms| due_ms > now_ms) {
                return Ok(Stepped { schedules: 0, next_due_ms });
            }
            self.telling(move |connection| {
                Box::pin(async move { Ok(pass(&mut Job { connection, now_ms }, &keys).await?) })
            })
            .await
        })
    }

    fn ask_schedule(&self, asked: ScheduleAsk, keys: RunKeys) -> StoreFuture<'_, ScheduleAnswer> {
        Box::pin(async move {
            let now_ms = self.shared.clock.now_ms();
            let answer = self.telling(move |connection| {
                Box::pin(async move { Ok(ask(&mut Job { connection, now_ms }, &asked, &keys).await?) })
            });
            let answer = answer.await?;
            self.shared.tell_schedules();
            Ok(answer.expect("no other session holds a lock"))
        })
    }

    fn schedule(&self, id: String) -> StoreFuture<'_, Option<ScheduleRow>> {
        let query = sqlx::query(ROW).bind(id);
        Box::pin(self.reading(async move |readers| {
            query.fetch_optional(readers).await?.as_ref().map(row::schedule).transpose()
        }))
    }

    fn schedules(&self, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<ScheduleRow>> {
        let query = sqlx::query(PAGE).bind(after.unwrap_or_default()).bind(limit.clamp(1, SCHEDULES_A_PAGE));
        Box::pin(self.reading(async move |readers| all(&query.fetch_all(readers).await?, row::schedule)))
    }

    fn schedule_news(&self) -> watch::Receiver<u64> {
        self.shared.schedules.subscribe()
    }
}
