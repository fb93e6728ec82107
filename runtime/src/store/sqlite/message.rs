//! The inbox and replies: messages in, answers out.

use super::store::SqliteStore;
use crate::status::ExecutionStatus;
use crate::store::decide::{not_open, parks_sql};
use crate::store::row::{self, all};
use crate::store::{Inbox, InboxRow, NewMessage, Reply, SendAnswer, StoreFuture, request_text};
use abide_core::Incarnation;
use sqlx::SqliteConnection;

/// Puts a message into an open execution's inbox. For a closed execution, its journal is searched for the
/// request id; only a retry to a closed execution costs that, since the owner of an open one compares request
/// ids itself.
pub(super) async fn send(
    connection: &mut SqliteConnection,
    message: &NewMessage,
) -> sqlx::Result<SendAnswer> {
    const INSERT: &str = concat!(
        "INSERT INTO inbox (execution, kind, request_id, body, at, parked) VALUES ($1, $2, $3, $4, $5, ",
        parks_sql!("$6", "$2"),
        ") ON CONFLICT DO NOTHING"
    );
    const BODIES: &str = "SELECT body FROM journal WHERE execution = ? AND instr(body, ?) > 0";
    let to = message.execution.0;
    let status = sqlx::query_scalar::<_, i64>("SELECT status FROM execution WHERE id = ?").bind(to);
    let status = status.fetch_optional(&mut *connection).await?.map(ExecutionStatus::from_code);
    match status {
        Some(status) if status.is_open() || message.kind.reaches_closed() => {}
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
        .bind(status.map(ExecutionStatus::code))
        .execute(connection)
        .await?;
    Ok(if inserted.rows_affected() == 1 { SendAnswer::Sent } else { SendAnswer::Known })
}

/// Keeps an answer, unless one of the same or a later stage is there. Deletes those that have expired.
pub(super) async fn put_reply(
    connection: &mut SqliteConnection,
    reply: &Reply,
    now: i64,
) -> sqlx::Result<()> {
    const PUT: &str = "INSERT INTO reply (request_id, body, expires_at, stage) VALUES (?, ?, ?, ?)
        ON CONFLICT (request_id) DO UPDATE
        SET body = excluded.body, expires_at = excluded.expires_at, stage = excluded.stage
        WHERE reply.stage < excluded.stage";
    sqlx::query("DELETE FROM reply WHERE expires_at < ?").bind(now).execute(&mut *connection).await?;
    let put = sqlx::query(PUT).bind(&reply.request_id).bind(&reply.body).bind(reply.expires_at_ms);
    put.bind(reply.stage).execute(connection).await.map(drop)
}

/// From the inbox's side: without what is parked it is short, while executions are many.
pub(super) const INBOX: &str = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at
    FROM inbox i INDEXED BY inbox_unparked CROSS JOIN execution e ON e.id = i.execution
    WHERE NOT i.parked AND e.owner = ? ORDER BY i.id";

pub(super) const OPEN_QUERIES: &str = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at
    FROM inbox i INDEXED BY inbox_unparked CROSS JOIN execution e ON e.id = i.execution
    WHERE NOT i.parked AND i.kind = 2 AND e.owner IS NULL AND e.status <> 0
        AND e.queue IN (SELECT value FROM json_each($1)) AND e.type IN (SELECT value FROM json_each($2))
    ORDER BY i.id LIMIT 100";

impl Inbox for SqliteStore {
    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer> {
        Box::pin(self.telling(move |c| Box::pin(async move { Ok(send(c, &message).await?) })))
    }

    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(self.reading(async move |readers| {
            all(&sqlx::query(INBOX).bind(owner.0).fetch_all(readers).await?, row::message)
        }))
    }

    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>> {
        let json = |names: &[String]| serde_json::to_string(names).unwrap_or_default();
        let query = sqlx::query(OPEN_QUERIES).bind(json(&queues)).bind(json(&types));
        Box::pin(self.reading(async move |readers| all(&query.fetch_all(readers).await?, row::message)))
    }

    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()> {
        const DELETE: &str = "DELETE FROM inbox WHERE id IN (SELECT value FROM json_each(?))";
        let delete = sqlx::query(DELETE).bind(serde_json::to_string(&ids).unwrap_or_default());
        Box::pin(self.call(move |c| Box::pin(async move { Ok(delete.execute(c).await.map(drop)?) })))
    }

    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()> {
        let now = self.shared.clock.now_ms();
        // Another process looks because of the commit; this one does not see its own.
        let is_here = reply.asker == Some(self.shared.block);
        Box::pin(async move {
            self.call(move |c| Box::pin(async move { Ok(put_reply(c, &reply, now).await?) })).await?;
            if is_here {
                self.shared.tick();
            }
            Ok(())
        })
    }

    fn read_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        let read = sqlx::query_scalar("SELECT body FROM reply WHERE request_id = ?").bind(request_id);
        Box::pin(self.reading(async move |readers| read.fetch_optional(readers).await))
    }

    /// Asked often, so a reader answers.
    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        const THERE: &str = "SELECT EXISTS (SELECT 1 FROM reply WHERE request_id = ?)";
        const TAKE: &str = "DELETE FROM reply WHERE request_id = ? RETURNING body";
        Box::pin(async move {
            let there = sqlx::query_scalar(THERE).bind(request_id.clone());
            if !self.reading(async move |readers| there.fetch_one(readers).await).await? {
                return Ok(None);
            }
            let take = sqlx::query_scalar(TAKE).bind(request_id);
            self.call(move |c| Box::pin(async move { Ok(take.fetch_optional(c).await?) })).await
        })
    }
}
