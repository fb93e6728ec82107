//! The inbox and replies: messages in, answers out.

use super::SqliteStore;
use crate::store::decide::not_open;
use crate::store::{InboxRow, MessageKind, NewMessage, Reply, SendAnswer, StoreError, request_text};
use abide_core::{ExecutionId, Incarnation};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// Puts a message into an open execution's inbox. The journal of a closed one tells whether it has taken this request in: only a retry
/// to a closed execution costs that; an open one's owner knows its own history.
pub(super) async fn send(
    connection: &mut SqliteConnection,
    message: &NewMessage,
) -> sqlx::Result<SendAnswer> {
    const INSERT: &str = "INSERT INTO inbox (execution, kind, request_id, body, at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING";
    const BODIES: &str = "SELECT body FROM journal WHERE execution = ? AND instr(body, ?) > 0";
    let to = message.execution.0;
    let open = sqlx::query_scalar::<_, bool>("SELECT status < 10 FROM execution WHERE id = ?").bind(to);
    match open.fetch_optional(&mut *connection).await? {
        Some(open) if open || message.kind.reaches_closed() => {}
        None => return Ok(not_open(None::<[&str; 0]>, message)),
        Some(_) => {
            let bodies = sqlx::query_scalar::<_, String>(BODIES).bind(to);
            let bodies = bodies.bind(request_text(&message.request_id)).fetch_all(connection).await?;
            return Ok(not_open(Some(bodies.iter().map(String::as_str)), message));
        }
    }
    let inserted = sqlx::query(INSERT)
        .bind(to)
        .bind(message.kind.code())
        .bind(&message.request_id)
        .bind(&message.body)
        .bind(message.at_ms)
        .execute(connection)
        .await?;
    Ok(if inserted.rows_affected() == 1 { SendAnswer::Sent } else { SendAnswer::Known })
}

/// Keeps an answer; what is there of the same or a later stage stays. Forgets those that have expired.
pub(super) async fn put_reply(
    connection: &mut SqliteConnection,
    reply: &Reply,
    now: i64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM reply WHERE expires_at < ?").bind(now).execute(&mut *connection).await?;
    let insert = "INSERT INTO reply (request_id, body, expires_at, stage) VALUES (?, ?, ?, ?)
        ON CONFLICT (request_id) DO UPDATE
        SET body = excluded.body, expires_at = excluded.expires_at, stage = excluded.stage
        WHERE reply.stage < excluded.stage";
    let insert = sqlx::query(insert).bind(&reply.request_id).bind(&reply.body).bind(reply.expires_at_ms);
    insert.bind(reply.stage).execute(connection).await.map(drop)
}

/// Takes an answer out.
pub(super) async fn take_reply(
    connection: &mut SqliteConnection,
    request_id: &str,
) -> sqlx::Result<Option<String>> {
    let delete = sqlx::query_scalar("DELETE FROM reply WHERE request_id = ? RETURNING body").bind(request_id);
    delete.fetch_optional(connection).await
}

/// Deletes rows that were dealt with.
pub(super) async fn drop_rows(connection: &mut SqliteConnection, ids: &[i64]) -> sqlx::Result<()> {
    let ids = serde_json::to_string(ids).unwrap_or_default();
    let delete = sqlx::query("DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?))").bind(ids);
    delete.execute(connection).await.map(drop)
}

pub(super) fn inbox_row(row: &SqliteRow) -> sqlx::Result<InboxRow> {
    let kind = MessageKind::from_code(row.try_get(2)?);
    Ok(InboxRow {
        id: row.try_get(0)?,
        execution: ExecutionId(row.try_get(1)?),
        kind,
        request_id: row.try_get(3)?,
        body: row.try_get(4)?,
        at_ms: row.try_get(5)?,
    })
}

impl SqliteStore {
    /// From the inbox's side: it is short while executions are many.
    pub(super) async fn read_inbox(&self, owner: Incarnation) -> Result<Vec<InboxRow>, StoreError> {
        let query = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at
            FROM inbox i CROSS JOIN execution e ON e.id = i.execution WHERE e.owner = ? ORDER BY i.id";
        let rows = sqlx::query(query).bind(owner.0).fetch_all(&self.readers).await;
        let rows = rows.map_err(|error| self.read_error(error))?;
        rows.iter().map(inbox_row).collect::<Result<_, _>>().map_err(|error| self.read_error(error))
    }

    /// From the inbox's side, which is short.
    pub(super) async fn read_open_queries(
        &self,
        queues: Vec<String>,
        types: Vec<String>,
    ) -> Result<Vec<InboxRow>, StoreError> {
        let query = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at
            FROM inbox i CROSS JOIN execution e ON e.id = i.execution
            WHERE i.kind = 2 AND e.owner IS NULL AND e.status <> 0
              AND e.queue IN (SELECT value FROM json_each($1)) AND e.type IN (SELECT value FROM json_each($2))
            ORDER BY i.id LIMIT 100";
        let json = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
        let rows = sqlx::query(query).bind(json(&queues)).bind(json(&types)).fetch_all(&self.readers).await;
        let rows = rows.map_err(|error| self.read_error(error))?;
        rows.iter().map(inbox_row).collect::<Result<_, _>>().map_err(|error| self.read_error(error))
    }

    /// Whether an answer is there: asked often, so not of the writer.
    pub(super) async fn has_reply(&self, request_id: &str) -> Result<bool, StoreError> {
        let query =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM reply WHERE request_id = ?)").bind(request_id);
        query.fetch_one(&self.readers).await.map_err(|error| self.read_error(error))
    }
}
