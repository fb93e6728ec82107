//! Reading: executions, lists, journals. On the pool of readers, which sees every commit that was acknowledged.
//!
//! No read transaction outlives its call: the WAL would grow (PROTOCOL 27).

use super::SqliteStore;
use super::attempt;
use super::failure::store_error;
use super::message::inbox_row;
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Filter, Find, Page, StoreError, StoredRun, StoredTurn, joined};
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Row, Sqlite};

/// The columns that [`execution`] reads, of a table called `e`.
pub(super) const COLUMNS: &str =
    "e.id, e.workflow_id, e.run_id, e.type, e.queue, e.status, e.owner, e.wake_at, e.active, e.crashes,
    e.recovered_from, e.suspension, e.input, e.result, e.created_at, e.closed_at,
    coalesce((SELECT seq + n - 1 FROM journal WHERE execution = e.id ORDER BY seq DESC LIMIT 1), 0), e.retried_until, e.rev";

const JOURNAL: &str = "SELECT seq, n, at, writer, body FROM journal WHERE execution = ? ORDER BY seq";
const INBOX_OF: &str =
    "SELECT id, execution, kind, request_id, body, at FROM inbox WHERE execution = ? ORDER BY id";

/// A row of [`JOURNAL`].
fn turn(row: &SqliteRow) -> StoredTurn {
    StoredTurn {
        seq: EventId(row.get::<i64, _>(0).unsigned_abs()),
        n: u32::try_from(row.get::<i64, _>(1)).unwrap_or(u32::MAX),
        at_ms: row.get(2),
        writer: Incarnation(row.get(3)),
        body: row.get(4),
    }
}

/// A row of [`COLUMNS`].
pub(super) fn execution(row: &SqliteRow) -> Result<ExecutionRow, sqlx::Error> {
    let status: i64 = row.try_get(5)?;
    let status = ExecutionStatus::from_code(status);
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
        crashes: row.try_get(9)?,
        recovered_from: row.try_get::<Option<i64>, _>(10)?.map(Incarnation),
        suspension: suspension.map_err(|error| sqlx::Error::Decode(error.into()))?,
        input: row.try_get(12)?,
        result: row.try_get(13)?,
        created_at_ms: row.try_get(14)?,
        closed_at_ms: row.try_get(15)?,
        history_len: u64::try_from(row.try_get::<i64, _>(16)?).unwrap_or(0),
    })
}

impl SqliteStore {
    /// A reader's error. The pool's own timeout means that all readers were busy.
    pub(super) fn read_error(&self, error: sqlx::Error) -> StoreError {
        match error {
            sqlx::Error::PoolTimedOut => StoreError::Busy {
                path: self.shared.path.display().to_string(),
                waited: self.shared.options.busy_timeout,
            },
            sqlx::Error::PoolClosed => StoreError::Closed,
            error => store_error(&self.shared.path, error, self.shared.options.busy_timeout),
        }
    }

    pub(super) async fn read_execution(&self, by: Find) -> Result<Option<ExecutionRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS).push(" FROM execution e WHERE ");
        match by {
            Find::Execution(id) => query.push("e.id = ").push_bind(id.0),
            // The open one, if there is one, else the newest: an id is made of a process's block and a counter, so
            // the newest by id alone may be another process's older one.
            Find::WorkflowId(id) => query
                .push("e.workflow_id = ")
                .push_bind(id)
                .push(" ORDER BY e.status < 10 DESC, e.created_at DESC, e.id DESC LIMIT 1"),
        };
        let row =
            query.build().fetch_optional(&self.readers).await.map_err(|error| self.read_error(error))?;
        row.as_ref().map(execution).transpose().map_err(|error| self.read_error(error))
    }

    pub(super) async fn read_list(&self, filter: Filter) -> Result<Page, StoreError> {
        let limit = match filter.limit {
            0 => 100,
            limit => limit.min(1_000),
        };
        let mut query = list_query(&filter);
        query.push(" ORDER BY e.run_id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.readers).await.map_err(|error| self.read_error(error))?;
        let rows: Result<Vec<_>, _> = rows.iter().map(execution).collect();
        let mut rows = rows.map_err(|error| self.read_error(error))?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = if more { rows.last().map(|row| row.run_id.clone()) } else { None };
        Ok(Page { rows, next })
    }

    pub(super) async fn read_journal(&self, execution: ExecutionId) -> Result<Vec<StoredTurn>, StoreError> {
        let rows = sqlx::query(JOURNAL).bind(execution.0).fetch_all(&self.readers).await;
        let rows = rows.map_err(|error| self.read_error(error))?;
        joined(rows.iter().map(turn).collect()).map_err(|message| StoreError::Damaged { execution, message })
    }

    /// One read transaction, so one snapshot (PROTOCOL 34).
    pub(super) async fn read_run(&self, execution: ExecutionId) -> Result<Option<StoredRun>, StoreError> {
        let read = async {
            let mut connection = self.readers.acquire().await?;
            let mut snapshot = connection.begin().await?;
            let row = sqlx::query(select("WHERE e.id = ?")).bind(execution.0).fetch_optional(&mut *snapshot);
            let Some(row) = row.await?.as_ref().map(self::execution).transpose()? else { return Ok(None) };
            let turns = sqlx::query(JOURNAL).bind(execution.0).fetch_all(&mut *snapshot).await?;
            let attempts = sqlx::query(attempt::READ).bind(execution.0).fetch_all(&mut *snapshot).await?;
            let inbox = sqlx::query(INBOX_OF).bind(execution.0).fetch_all(&mut *snapshot).await?;
            snapshot.commit().await?;
            let inbox = inbox.iter().map(inbox_row).collect::<Result<_, _>>()?;
            let attempts = attempts.iter().map(attempt::attempt).collect::<Result<_, _>>()?;
            Ok(Some(StoredRun { row, journal: joined(turns.iter().map(turn).collect()), attempts, inbox }))
        };
        read.await.map_err(|error| self.read_error(error))
    }

    pub(super) async fn read_owned(&self, owner: Incarnation) -> Result<Vec<ExecutionId>, StoreError> {
        let ids = sqlx::query_scalar::<_, i64>("SELECT id FROM execution WHERE owner = ?");
        let ids = ids.bind(owner.0).fetch_all(&self.readers).await.map_err(|error| self.read_error(error))?;
        Ok(ids.into_iter().map(ExecutionId).collect())
    }

    pub(super) async fn read_served(&self, queue: String) -> Result<Vec<Vec<String>>, StoreError> {
        const SERVED: &str = "SELECT w.types FROM worker w WHERE w.queue = ?
            AND EXISTS (SELECT 1 FROM lease l WHERE l.worker = w.id AND l.lease_until > ?)";
        let types = sqlx::query_scalar::<_, String>(SERVED).bind(queue).bind(self.shared.clock.now_ms());
        let types = types.fetch_all(&self.readers).await.map_err(|error| self.read_error(error))?;
        // A list that does not read counts as an empty one.
        Ok(types.iter().map(|types| serde_json::from_str(types).unwrap_or_default()).collect())
    }
}

fn list_query(filter: &Filter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
    query.push(COLUMNS).push(" FROM execution e WHERE 1");
    if !filter.statuses.is_empty() {
        query.push(" AND e.status IN (");
        let mut codes = query.separated(", ");
        for status in &filter.statuses {
            codes.push_bind(status.code());
        }
        query.push(")");
    }
    if let Some(workflow_type) = &filter.workflow_type {
        query.push(" AND e.type = ").push_bind(workflow_type.clone());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND e.queue = ").push_bind(queue.clone());
    }
    if let Some(prefix) = &filter.id_prefix {
        // Knows no wildcards. By bytes: `substr` of a text ends at a NUL.
        query.push(" AND substr(CAST(e.workflow_id AS BLOB), 1, ").push_bind(prefix.len() as i64);
        query.push(") = ").push_bind(prefix.clone().into_bytes());
    }
    if let Some(after) = &filter.after {
        query.push(" AND e.run_id < ").push_bind(after.clone());
    }
    query
}

/// `SELECT .. FROM execution e` with this ending, made once a place.
pub(super) fn select(ending: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("SELECT {COLUMNS} FROM execution e {ending}"))
}
