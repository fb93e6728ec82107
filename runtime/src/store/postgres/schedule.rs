//! Schedules: the statements of a transaction that steps them (PROTOCOL 68).
//!
//! The rows of schedules are locked before all others. Nothing after them waits: a name's lock and a receiver are
//! only tried, so a pass and a batch never wait for each other.

use super::failure::kind;
use super::message::put_reply;
use super::shared::Shared;
use super::start;
use super::store::PostgresStore;
use crate::store::decide::{Birth, ChainEnd, Desk, Notify, Receiver, ask, parks_sql, pass};
use crate::store::failure::Kind;
use crate::store::patience::Patience;
use crate::store::row::{self, all, schedule_columns};
use crate::store::{
    InboxRow, NewExecution, REPORTS_AT_ONCE, Reply, RunKeys, SCHEDULES_A_PAGE, STEPS_AT_ONCE, ScheduleAnswer,
    ScheduleAsk, ScheduleRow, Schedules, Stepped, StoreError, StoreFuture,
};
use abide_core::Incarnation;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Executor, PgConnection, Postgres, Row};
use std::collections::BTreeSet;
use tokio::sync::watch;

/// Those with reports. Of a newer release's rows nothing is known.
macro_rules! told {
    () => {
        "SELECT i.execution FROM {s}.inbox i JOIN {s}.schedule x ON x.number = i.execution AND NOT x.halted
    WHERE NOT i.parked AND i.execution < 0 AND i.kind = 7"
    };
}

/// When the next one is due, and whether one is due or has a report.
pub(super) const LOOK: &str = concat!(
    "SELECT n.next_at, coalesce(n.next_at <= {now}, false) OR EXISTS (",
    told!(),
    ") FROM (SELECT (
    SELECT s.next_at FROM {s}.schedule s WHERE s.next_at IS NOT NULL ORDER BY s.next_at LIMIT 1) AS next_at) n"
);

/// `$1` the most. A row that has changed since the statement began is looked at again once it is locked: a second
/// process with an older snapshot finds nothing due.
pub(super) const DUE: &str = concat!(
    "WITH clock AS MATERIALIZED (SELECT {now} AS now),
due AS MATERIALIZED (
    SELECT ",
    schedule_columns!(),
    " FROM {s}.schedule s WHERE s.next_at <= (SELECT now FROM clock)
    ORDER BY s.next_at LIMIT $1 FOR UPDATE SKIP LOCKED),
told AS MATERIALIZED (
    SELECT s.* FROM (SELECT DISTINCT execution FROM (",
    told!(),
    " LIMIT 1000) i) r
    CROSS JOIN LATERAL (
        SELECT ",
    schedule_columns!(),
    " FROM {s}.schedule s WHERE s.number = r.execution AND s.number NOT IN (SELECT number FROM due)
        FOR UPDATE SKIP LOCKED) s
    LIMIT $1 - (SELECT count(*) FROM due))
SELECT a.*, (SELECT now FROM clock) FROM (SELECT * FROM due UNION ALL SELECT * FROM told) a"
);

const ROW: &str = concat!("SELECT ", schedule_columns!(), " FROM {s}.schedule s WHERE s.id = $1");
const LOCK: &str = concat!("SELECT ", schedule_columns!(), " FROM {s}.schedule s WHERE s.id = $1 FOR UPDATE");

/// `$1` after which, `$2` the most.
pub(super) const PAGE: &str = concat!(
    "SELECT ",
    schedule_columns!(),
    " FROM {s}.schedule s WHERE s.id COLLATE \"C\" > $1 ORDER BY s.id COLLATE \"C\" LIMIT $2"
);

/// `$1` the schedules, `$2` the most.
pub(super) const REPORTS: &str = "SELECT id, execution, kind, request_id, body, at FROM {s}.inbox
    WHERE execution = ANY($1) AND kind = 7 AND NOT parked ORDER BY id LIMIT $2";

/// `$1` the workflow id, `$2` the schedule, `$3` the message's kind, `$4` its key, `$5` its body. It waits for no lock.
pub(super) const END: &str = concat!(
    "WITH receiver AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution
    WHERE workflow_id = $1 AND status < 10 AND schedule = $2 FOR KEY SHARE SKIP LOCKED),
sent AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT id, $3, $4, $5, {now}, ",
    parks_sql!("status", "$3"),
    " FROM receiver ON CONFLICT DO NOTHING)
SELECT owner, queue FROM receiver"
);

/// By a later statement: whether there is an open run that was not locked.
const IS_OPEN: &str =
    "SELECT EXISTS (SELECT FROM {s}.execution WHERE workflow_id = $1 AND status < 10 AND schedule = $2)";

const WRITE: &str =
    "UPDATE {s}.schedule SET spec = $2, action = $3, policy = $4, state = $5, note = $6, paused = $7,
    halted = $8, next_at = $9, last_slot = $10, version = $11 WHERE number = $1";

const INSERT: &str =
    "INSERT INTO {s}.schedule (number, spec, action, policy, state, note, paused, halted, next_at,
    last_slot, version, id, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (id) DO NOTHING";

/// One transaction, and whom it concerns.
struct Transaction<'c> {
    connection: &'c mut PgConnection,
    shared: &'c Shared,
    /// The task queues of the runs that it has started.
    queues: BTreeSet<String>,
    receivers: Vec<Receiver>,
}

/// Whom a transaction concerns.
struct Concerns {
    queues: BTreeSet<String>,
    receivers: Vec<Receiver>,
}

impl<'c> Transaction<'c> {
    fn of(shared: &'c Shared, connection: &'c mut PgConnection) -> Self {
        Self { connection, shared, queues: BTreeSet::new(), receivers: Vec::new() }
    }

    fn concerns(self) -> Concerns {
        Concerns { queues: self.queues, receivers: self.receivers }
    }

    async fn now(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar(self.shared.sql.of("SELECT {now}")).fetch_one(&mut *self.connection).await
    }
}

impl Desk for Transaction<'_> {
    type Error = sqlx::Error;

    async fn due(&mut self) -> sqlx::Result<(Vec<ScheduleRow>, i64)> {
        let due = sqlx::query(self.shared.sql.of(DUE)).bind(STEPS_AT_ONCE);
        let due = due.fetch_all(&mut *self.connection).await?;
        let now_ms = due.first().map(|row: &PgRow| row.try_get(13)).transpose()?.unwrap_or_default();
        Ok((all(&due, row::schedule)?, now_ms))
    }

    async fn next_due(&mut self) -> sqlx::Result<Option<i64>> {
        let look = sqlx::query_as::<_, (Option<i64>, bool)>(self.shared.sql.of(LOOK));
        Ok(look.fetch_one(&mut *self.connection).await?.0)
    }

    async fn row(&mut self, id: &str) -> sqlx::Result<(Option<ScheduleRow>, i64)> {
        let found =
            sqlx::query(self.shared.sql.of(LOCK)).bind(id).fetch_optional(&mut *self.connection).await?;
        Ok((found.as_ref().map(row::schedule).transpose()?, self.now().await?))
    }

    async fn reports(&mut self, numbers: &[i64]) -> sqlx::Result<Vec<InboxRow>> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let reports = sqlx::query(self.shared.sql.of(REPORTS)).bind(numbers).bind(REPORTS_AT_ONCE);
        all(&reports.fetch_all(&mut *self.connection).await?, row::message)
    }

    async fn mark(&mut self) -> sqlx::Result<()> {
        self.connection.execute("SAVEPOINT abide_schedule").await.map(drop)
    }

    async fn keep(&mut self) -> sqlx::Result<()> {
        self.connection.execute("RELEASE SAVEPOINT abide_schedule").await.map(drop)
    }

    async fn undo(&mut self) -> sqlx::Result<()> {
        const UNDO: &str = "ROLLBACK TO SAVEPOINT abide_schedule; RELEASE SAVEPOINT abide_schedule";
        self.connection.execute(sqlx::raw_sql(UNDO)).await.map(drop)
    }

    async fn start(&mut self, new: &NewExecution) -> sqlx::Result<Birth> {
        if !start::try_lock(self.connection, self.shared, new).await? {
            return Ok(Birth::Held);
        }
        let born = start::insert_first(self.connection, self.shared, new).await?;
        if born {
            self.queues.insert(new.queue.clone());
        }
        Ok(if born { Birth::Born } else { Birth::Taken })
    }

    async fn end(&mut self, end: ChainEnd<'_>) -> sqlx::Result<bool> {
        let send = sqlx::query_as::<_, (Option<i64>, String)>(self.shared.sql.of(END));
        let send = send.bind(end.workflow_id).bind(end.number).bind(end.kind().code() as i16);
        let sent = send.bind(end.request_id).bind(end.body).fetch_optional(&mut *self.connection).await?;
        if let Some((owner, queue)) = sent {
            self.receivers.push(Receiver { owner: owner.map(Incarnation), queue });
            return Ok(true);
        }
        let open = sqlx::query_scalar::<_, bool>(self.shared.sql.of(IS_OPEN));
        let open = open.bind(end.workflow_id).bind(end.number).fetch_one(&mut *self.connection).await?;
        Ok(!open)
    }

    async fn consume(&mut self, ids: &[i64]) -> sqlx::Result<()> {
        let consume = sqlx::query(self.shared.sql.of("DELETE FROM {s}.inbox WHERE id = ANY($1)")).bind(ids);
        consume.execute(&mut *self.connection).await.map(drop)
    }

    async fn write(&mut self, row: &ScheduleRow) -> sqlx::Result<()> {
        self.bound(WRITE, row).execute(&mut *self.connection).await.map(drop)
    }

    async fn insert(&mut self, row: &ScheduleRow) -> sqlx::Result<bool> {
        let insert = self.bound(INSERT, row).bind(row.id.clone()).bind(row.created_at_ms);
        Ok(insert.execute(&mut *self.connection).await?.rows_affected() == 1)
    }

    async fn delete(&mut self, number: i64) -> sqlx::Result<()> {
        let deletes =
            ["DELETE FROM {s}.schedule WHERE number = $1", "DELETE FROM {s}.inbox WHERE execution = $1"];
        for delete in deletes {
            sqlx::query(self.shared.sql.of(delete)).bind(number).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn reply(&mut self, key: &str) -> sqlx::Result<Option<String>> {
        let reply =
            sqlx::query_scalar(self.shared.sql.of("SELECT body FROM {s}.reply WHERE request_id = $1"));
        reply.bind(key).fetch_optional(&mut *self.connection).await
    }

    async fn put_reply(&mut self, reply: &Reply, now_ms: i64) -> sqlx::Result<()> {
        put_reply(self.connection, self.shared, reply, now_ms).await
    }

    fn refusal(error: &sqlx::Error) -> Option<String> {
        (kind(error) == Kind::Refused).then(|| format!("the database refuses it: {error}"))
    }
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

impl Transaction<'_> {
    /// A statement with the columns that change.
    fn bound(&self, text: &'static str, row: &ScheduleRow) -> Query {
        let ScheduleRow { spec, action, policy, state, note, .. } = row.clone();
        let query = sqlx::query(self.shared.sql.of(text)).bind(row.number).bind(spec).bind(action);
        let query = query.bind(policy).bind(state).bind(note).bind(row.paused).bind(row.halted);
        query.bind(row.next_at_ms).bind(row.last_slot_ms).bind(row.version)
    }
}

impl PostgresStore {
    fn notify_concerns(&self, concerns: &Concerns) {
        concerns.queues.iter().for_each(|queue| self.shared.notify_queue(queue));
        concerns.receivers.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
        if !concerns.receivers.is_empty() {
            // Any worker may end a run that has no owner.
            self.shared.notify_workers();
        }
    }
}

impl Schedules for PostgresStore {
    /// Most calls find nothing, so one statement looks first.
    fn step_schedules(&self, keys: RunKeys) -> StoreFuture<'_, Stepped> {
        Box::pin(async move {
            let look = self.read(|shared, connection| {
                let look = sqlx::query_as::<_, (Option<i64>, bool)>(shared.sql.of(LOOK));
                Box::pin(async move { Ok(look.fetch_one(connection).await?) })
            });
            let (next_due_ms, is_due) = look.await?;
            if !is_due {
                return Ok(Stepped { schedules: 0, next_due_ms });
            }
            let stepped = self.call(move |shared, connection| {
                let keys = keys.clone();
                Box::pin(async move {
                    let mut desk = Transaction::of(shared, connection);
                    let stepped = pass(&mut desk, &keys).await?;
                    Ok((stepped, desk.concerns()))
                })
            });
            let (stepped, concerns) = stepped.await?;
            self.notify_concerns(&concerns);
            Ok(stepped)
        })
    }

    fn ask_schedule(&self, asked: ScheduleAsk, keys: RunKeys) -> StoreFuture<'_, ScheduleAnswer> {
        Box::pin(async move {
            let mut patience = Patience::of_call(self.shared.options.busy_timeout);
            loop {
                let (asked, keys) = (asked.clone(), keys.clone());
                let answer = self.call(move |shared, connection| {
                    let (asked, keys) = (asked.clone(), keys.clone());
                    Box::pin(async move {
                        let mut desk = Transaction::of(shared, connection);
                        let answer = ask(&mut desk, &asked, &keys).await?;
                        Ok((answer, desk.concerns()))
                    })
                });
                if let (Some(answer), concerns) = answer.await? {
                    self.notify_concerns(&concerns);
                    self.shared.notify_schedules();
                    return Ok(answer);
                }
                let message = "another session holds a run of the schedule".to_owned();
                patience.again(StoreError::Conflicting { message }).await?;
            }
        })
    }

    fn schedule(&self, id: String) -> StoreFuture<'_, Option<ScheduleRow>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(ROW)).bind(id.clone());
            Box::pin(async move {
                Ok(query.fetch_optional(connection).await?.as_ref().map(row::schedule).transpose()?)
            })
        }))
    }

    fn schedules(&self, after: Option<String>, limit: u32) -> StoreFuture<'_, Vec<ScheduleRow>> {
        let limit = i64::from(limit.clamp(1, SCHEDULES_A_PAGE));
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(PAGE)).bind(after.clone().unwrap_or_default()).bind(limit);
            Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::schedule)?) })
        }))
    }

    fn schedule_news(&self) -> watch::Receiver<u64> {
        self.shared.schedules.subscribe()
    }
}
