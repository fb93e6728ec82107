//! Reading: executions, lists, journals. Each call is one statement on a connection of the pool.

use super::PostgresStore;
use crate::status::ExecutionStatus;
use crate::store::{
    AttemptRow, ExecutionRow, Filter, Find, InboxRow, MessageKind, Page, StoreError, StoredRun, StoredTurn,
    joined,
};
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

/// The columns that [`execution`] reads, of a table called `e`.
macro_rules! columns {
    () => {
        "e.id, e.workflow_id, e.run_id, e.type, e.queue, e.status, e.owner, e.wake_at, e.active, e.crashes,
    e.recovered_from, e.suspension, e.input, e.result, e.created_at, e.closed_at,
    coalesce((SELECT j.seq + j.n - 1 FROM {s}.journal j WHERE j.execution = e.id ORDER BY j.seq DESC LIMIT 1), 0),
    e.retried_until, e.rev"
    };
}
pub(super) use columns;

/// `SELECT .. FROM execution e` with this ending.
macro_rules! select {
    ($ending:literal) => {
        concat!("SELECT ", $crate::store::postgres::read::columns!(), " FROM {s}.execution e ", $ending)
    };
}
pub(super) use select;

pub(super) const BY_ID: &str = select!("WHERE e.id = $1");
/// The open one, if there is one, else the newest: an id is made of a process's block and a counter, so
/// the newest by id alone may be another process's older one.
pub(super) const BY_WORKFLOW_ID: &str =
    select!("WHERE e.workflow_id = $1 ORDER BY (e.status < 10) DESC, e.created_at DESC, e.id DESC LIMIT 1");
pub(super) const JOURNAL: &str =
    "SELECT seq, n, at, writer, body FROM {s}.journal WHERE execution = $1 ORDER BY seq";
/// Row, journal, inbox and failed attempts of one run in one statement, so in one snapshot (PROTOCOL 34). Column 19 says what a row is.
pub(super) const RUN: &str = concat!(
    "SELECT ",
    columns!(),
    ", 0 AS part, 0::bigint, 0::bigint, 0::bigint, 0::bigint, NULL::text, NULL::text
    FROM {s}.execution e WHERE e.id = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    1, j.seq, j.n, j.at, j.writer, j.body, NULL
    FROM {s}.journal j WHERE j.execution = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    2, i.id, i.kind, i.at, 0, i.body, i.request_id
    FROM {s}.inbox i WHERE i.execution = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    3, a.activity, a.attempt, a.next_at, 0, a.failure, NULL
    FROM {s}.attempt a WHERE a.execution = $1"
);
pub(super) const OWNED: &str = "SELECT id FROM {s}.execution WHERE owner = $1";

/// A row of these columns.
pub(super) fn execution(row: &PgRow) -> Result<ExecutionRow, sqlx::Error> {
    let status: i16 = row.try_get(5)?;
    let status = ExecutionStatus::from_code(i64::from(status));
    let suspension: Option<String> = row.try_get(11)?;
    let suspension = suspension.as_deref().map(serde_json::from_str).transpose();
    Ok(ExecutionRow {
        id: ExecutionId(row.try_get(0)?),
        workflow_id: row.try_get(1)?,
        run_id: row.try_get(2)?,
        workflow_type: row.try_get(3)?,
        queue: row.try_get(4)?,
        status,
        owner: row.try_get::<Option<i64>, _>(6)?.map(Incarnation),
        rev: row.try_get(18)?,
        wake_at_ms: row.try_get(7)?,
        active: row.try_get(8)?,
        retried_ms: row.try_get(17)?,
        crashes: row.try_get::<i32, _>(9)?.unsigned_abs(),
        recovered_from: row.try_get::<Option<i64>, _>(10)?.map(Incarnation),
        suspension: suspension.map_err(|error| sqlx::Error::Decode(error.into()))?,
        input: row.try_get(12)?,
        result: row.try_get(13)?,
        created_at_ms: row.try_get(14)?,
        closed_at_ms: row.try_get(15)?,
        history_len: u64::try_from(row.try_get::<i64, _>(16)?).unwrap_or(0),
    })
}

/// The rows of [`RUN`]. Their order is not the statement's.
fn run(rows: &[PgRow]) -> Result<Option<StoredRun>, sqlx::Error> {
    let (mut found, mut turns, mut inbox, mut attempts) = (None, Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let (first, second, third): (i64, i64, i64) = (row.try_get(20)?, row.try_get(21)?, row.try_get(22)?);
        match row.try_get::<i32, _>(19)? {
            0 => found = Some(execution(row)?),
            1 => turns.push(StoredTurn {
                seq: EventId(first.unsigned_abs()),
                n: u32::try_from(second).unwrap_or(u32::MAX),
                at_ms: third,
                writer: Incarnation(row.try_get(23)?),
                body: row.try_get(24)?,
            }),
            3 => attempts.push(AttemptRow {
                activity: EventId(first.unsigned_abs()),
                attempt: u32::try_from(second).unwrap_or(u32::MAX),
                next_at_ms: third,
                failure: row.try_get(24)?,
            }),
            _ => inbox.push(InboxRow {
                id: first,
                execution: ExecutionId(0),
                kind: MessageKind::from_code(second),
                request_id: row.try_get(25)?,
                body: row.try_get(24)?,
                at_ms: third,
            }),
        }
    }
    turns.sort_by_key(|turn| turn.seq);
    inbox.sort_by_key(|row| row.id);
    attempts.sort_by_key(|row: &AttemptRow| row.activity);
    Ok(found.map(|row: ExecutionRow| {
        inbox.iter_mut().for_each(|message| message.execution = row.id);
        StoredRun { journal: joined(turns), attempts, inbox, row }
    }))
}

impl PostgresStore {
    pub(super) async fn read_execution(&self, by: Find) -> Result<Option<ExecutionRow>, StoreError> {
        if matches!(&by, Find::WorkflowId(id) if is_unkept(id)) {
            return Ok(None);
        }
        self.read(move |shared, connection| {
            let by = by.clone();
            Box::pin(async move {
                let row = match by {
                    Find::Execution(id) => {
                        sqlx::query(shared.sql.of(BY_ID)).bind(id.0).fetch_optional(connection).await?
                    }
                    Find::WorkflowId(id) => {
                        sqlx::query(shared.sql.of(BY_WORKFLOW_ID)).bind(id).fetch_optional(connection).await?
                    }
                };
                Ok(row.as_ref().map(execution).transpose()?)
            })
        })
        .await
    }

    pub(super) async fn read_list(&self, filter: Filter) -> Result<Page, StoreError> {
        let limit = match filter.limit {
            0 => 100,
            limit => limit.min(1_000),
        };
        let texts = [&filter.workflow_type, &filter.queue, &filter.id_prefix];
        if texts.into_iter().flatten().any(|text| is_unkept(text)) {
            return Ok(Page::default());
        }
        self.read(move |shared, connection| {
            let filter = filter.clone();
            Box::pin(async move {
                let mut query =
                    list_query(&shared.sql.fill(columns!()), &shared.sql.fill("{s}.execution"), &filter);
                query.push(" ORDER BY e.run_id DESC LIMIT ").push_bind(i64::from(limit) + 1);
                let rows = query.build().fetch_all(connection).await?;
                let mut rows = rows.iter().map(execution).collect::<Result<Vec<_>, _>>()?;
                let more = rows.len() > limit as usize;
                rows.truncate(limit as usize);
                let next = if more { rows.last().map(|row| row.run_id.clone()) } else { None };
                Ok(Page { rows, next })
            })
        })
        .await
    }

    pub(super) async fn read_journal(&self, execution: ExecutionId) -> Result<Vec<StoredTurn>, StoreError> {
        let rows = self.read(move |shared, connection| {
            Box::pin(async move {
                Ok(sqlx::query(shared.sql.of(JOURNAL)).bind(execution.0).fetch_all(connection).await?)
            })
        });
        let turn = |row: &PgRow| StoredTurn {
            seq: EventId(row.get::<i64, _>(0).unsigned_abs()),
            n: row.get::<i32, _>(1).unsigned_abs(),
            at_ms: row.get(2),
            writer: Incarnation(row.get(3)),
            body: row.get(4),
        };
        joined(rows.await?.iter().map(turn).collect())
            .map_err(|message| StoreError::Damaged { execution, message })
    }

    pub(super) async fn read_run(&self, execution: ExecutionId) -> Result<Option<StoredRun>, StoreError> {
        let rows = self.read(move |shared, connection| {
            Box::pin(async move {
                Ok(sqlx::query(shared.sql.of(RUN)).bind(execution.0).fetch_all(connection).await?)
            })
        });
        run(&rows.await?).map_err(|error| self.shared.error(error))
    }

    pub(super) async fn read_owned(&self, owner: Incarnation) -> Result<Vec<ExecutionId>, StoreError> {
        let ids = self.read(move |shared, connection| {
            Box::pin(async move {
                Ok(sqlx::query_scalar::<_, i64>(shared.sql.of(OWNED))
                    .bind(owner.0)
                    .fetch_all(connection)
                    .await?)
            })
        });
        Ok(ids.await?.into_iter().map(ExecutionId).collect())
    }

    pub(super) async fn read_served(&self, queue: String) -> Result<Vec<Vec<String>>, StoreError> {
        const SERVED: &str = "SELECT w.types FROM {s}.worker w WHERE w.queue = $1
            AND EXISTS (SELECT 1 FROM {s}.lease l WHERE l.worker = w.id AND l.lease_until > {now})";
        if is_unkept(&queue) {
            return Ok(Vec::new());
        }
        self.read(move |shared, connection| {
            let served = sqlx::query_scalar(shared.sql.of(SERVED)).bind(queue.clone());
            Box::pin(async move { Ok(served.fetch_all(connection).await?) })
        })
        .await
    }
}

/// Postgres keeps no text with a NUL, so nothing has it; and it refuses to be asked.
fn is_unkept(text: &str) -> bool {
    text.contains('\0')
}

/// Made for its filter, so that each list has the plan that fits it.
pub(super) fn list_query(columns: &str, table: &str, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT ");
    query.push(columns).push(" FROM ").push(table).push(" e WHERE true");
    if !filter.statuses.is_empty() {
        let codes: Vec<i16> = filter.statuses.iter().map(|status| status.code() as i16).collect();
        query.push(" AND e.status = ANY(").push_bind(codes).push(")");
    }
    if let Some(workflow_type) = &filter.workflow_type {
        query.push(" AND e.type = ").push_bind(workflow_type.clone());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND e.queue = ").push_bind(queue.clone());
    }
    if let Some(prefix) = &filter.id_prefix {
        query.push(" AND starts_with(e.workflow_id, ").push_bind(prefix.clone()).push(")");
    }
    // Lower-case hex with its hyphens in one place: every collation sorts it alike, and the index serves it.
    if let Some(after) = &filter.after {
        query.push(" AND e.run_id < ").push_bind(after.clone());
    }
    query
}
