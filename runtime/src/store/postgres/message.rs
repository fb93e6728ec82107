//! The inbox and replies: messages in, answers out.

use super::rows::QUERY;
use super::shared::Shared;
use super::sql::SETTLE;
use super::store::PostgresStore;
use crate::store::decide::{self, Notify, Receiver, parks_sql};
use crate::store::row::{self, all};
use crate::store::{Inbox, InboxRow, NewMessage, Reply, SendAnswer, StoreFuture, request_text};
use abide_core::Incarnation;
use sqlx::{Executor, PgConnection, Row};

/// A closed execution still answers queries.
pub(super) const SEND: &str = concat!(
    "WITH receiver AS MATERIALIZED (
            SELECT id, owner, queue, status FROM {s}.execution WHERE id = $1 AND (status < 10 OR $2 = 2) FOR KEY SHARE),
        sent AS (
            INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
            SELECT id, $2, $3, $4, {now}, ",
    parks_sql!("status", "$2"),
    " FROM receiver ON CONFLICT DO NOTHING RETURNING 1)
        SELECT r.owner, r.queue, (SELECT count(*) FROM sent) FROM receiver r"
);

/// Puts a message into an open execution's inbox, in one statement that locks its row lightly: it does not
/// close meanwhile (PROTOCOL 16). A closed one may have taken this request in: its journal knows.
pub(super) async fn send(
    connection: &mut PgConnection,
    shared: &Shared,
    message: &NewMessage,
) -> sqlx::Result<(SendAnswer, Option<Receiver>)> {
    let to = message.execution.0;
    let sent = sqlx::query(shared.sql.of(SEND))
        .bind(to)
        .bind(message.kind.code() as i16)
        .bind(&message.request_id)
        .bind(&message.body)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = sent else {
        return Ok((not_open(connection, shared, message).await?, None));
    };
    let owner: Option<i64> = row.try_get(0)?;
    let receiver = Receiver { owner: owner.map(Incarnation), queue: row.try_get(1)? };
    match row.try_get::<i64, _>(2)? {
        0 => Ok((SendAnswer::Known, None)),
        _ => Ok((SendAnswer::Sent, Some(receiver))),
    }
}

/// Looks for an event of this kind with the request id. Reads the rows whose text has the id, which only a
/// retry to a closed execution costs; an open one's owner knows its own history.
async fn not_open(
    connection: &mut PgConnection,
    shared: &Shared,
    message: &NewMessage,
) -> sqlx::Result<SendAnswer> {
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM {s}.execution WHERE id = $1)";
    const BODIES: &str = "SELECT body FROM {s}.journal WHERE execution = $1 AND strpos(body, $2) > 0";
    let to = message.execution.0;
    let exists = sqlx::query_scalar::<_, bool>(shared.sql.of(EXISTS)).bind(to);
    if !exists.fetch_one(&mut *connection).await? {
        return Ok(decide::not_open(None::<[&str; 0]>, message));
    }
    let bodies = sqlx::query_scalar::<_, String>(shared.sql.of(BODIES)).bind(to);
    let bodies = bodies.bind(request_text(&message.request_id)).fetch_all(&mut *connection).await?;
    let answer = decide::not_open(Some(bodies.iter().map(String::as_str)), message);
    if answer == SendAnswer::Known {
        connection.execute(SETTLE).await?;
    }
    Ok(answer)
}

/// From the inbox's side: without what is parked it is short, while executions are many. The lateral join
/// says so to the planner.
pub(super) const INBOX: &str = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at FROM {s}.inbox i
    CROSS JOIN LATERAL (SELECT FROM {s}.execution e WHERE e.id = i.execution AND e.owner = $1 OFFSET 0) e
    WHERE NOT i.parked ORDER BY i.id";

pub(super) const OPEN_QUERIES: &str = "SELECT i.id, i.execution, i.kind, i.request_id, i.body, i.at FROM {s}.inbox i
    CROSS JOIN LATERAL (SELECT FROM {s}.execution e WHERE e.id = i.execution AND e.owner IS NULL AND e.status <> 0
        AND e.queue = ANY($1) AND e.type = ANY($2) OFFSET 0) e
    WHERE i.kind = 2 AND NOT i.parked ORDER BY i.id LIMIT 100";

/// Keeps an answer, unless one of the same or a later stage is there. Forgets some of those that have expired, too.
pub(super) async fn put_reply(
    connection: &mut PgConnection,
    shared: &Shared,
    reply: &Reply,
    now: i64,
) -> sqlx::Result<()> {
    const PUT: &str = "WITH old AS (
            DELETE FROM {s}.reply WHERE request_id IN (
                SELECT request_id FROM {s}.reply WHERE expires_at < $4 LIMIT 100 FOR UPDATE SKIP LOCKED))
        INSERT INTO {s}.reply (request_id, body, expires_at, stage) VALUES ($1, $2, $3, $5)
        ON CONFLICT (request_id) DO UPDATE
            SET body = excluded.body, expires_at = excluded.expires_at, stage = excluded.stage
            WHERE reply.stage < excluded.stage";
    let put = sqlx::query(shared.sql.of(PUT)).bind(&reply.request_id).bind(&reply.body);
    put.bind(reply.expires_at_ms).bind(now).bind(reply.stage).execute(connection).await.map(drop)
}

impl Inbox for PostgresStore {
    fn send(&self, message: NewMessage) -> StoreFuture<'_, SendAnswer> {
        debug_assert_eq!(QUERY, 2, "the statement names it by its number");
        Box::pin(async move {
            let sent = self.once(move |shared, connection| {
                let message = message.clone();
                Box::pin(async move { Ok(send(connection, shared, &message).await?) })
            });
            let (answer, receiver) = sent.await?;
            receiver.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            Ok(answer)
        })
    }

    fn inbox(&self, owner: Incarnation) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(INBOX)).bind(owner.0);
            Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::message)?) })
        }))
    }

    fn open_queries(&self, queues: Vec<String>, types: Vec<String>) -> StoreFuture<'_, Vec<InboxRow>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(OPEN_QUERIES)).bind(queues.clone()).bind(types.clone());
            Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::message)?) })
        }))
    }

    fn drop_messages(&self, ids: Vec<i64>) -> StoreFuture<'_, ()> {
        const DELETE: &str = "DELETE FROM {s}.inbox WHERE id = ANY($1)";
        Box::pin(self.once(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(DELETE)).bind(ids.clone());
            Box::pin(async move { Ok(query.execute(connection).await.map(drop)?) })
        }))
    }

    fn put_reply(&self, reply: Reply) -> StoreFuture<'_, ()> {
        let (now, asker) = (self.shared.clock.now_ms(), reply.asker);
        Box::pin(async move {
            let put = self.once(move |shared, connection| {
                let reply = reply.clone();
                Box::pin(async move { Ok(put_reply(connection, shared, &reply, now).await?) })
            });
            put.await?;
            self.shared.notify_asker(asker);
            Ok(())
        })
    }

    fn read_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        const READ: &str = "SELECT body FROM {s}.reply WHERE request_id = $1";
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query_scalar(shared.sql.of(READ)).bind(request_id.clone());
            Box::pin(async move { Ok(query.fetch_optional(connection).await?) })
        }))
    }

    fn take_reply(&self, request_id: String) -> StoreFuture<'_, Option<String>> {
        const THERE: &str = "SELECT EXISTS (SELECT FROM {s}.reply WHERE request_id = $1)";
        const TAKE: &str = "DELETE FROM {s}.reply WHERE request_id = $1 RETURNING body";
        Box::pin(async move {
            let id = request_id.clone();
            let there = self.read(move |shared, connection| {
                let query = sqlx::query_scalar(shared.sql.of(THERE)).bind(id.clone());
                Box::pin(async move { Ok(query.fetch_one(connection).await?) })
            });
            if !there.await? {
                return Ok(None);
            }
            self.once(move |shared, connection| {
                let query = sqlx::query_scalar(shared.sql.of(TAKE)).bind(request_id.clone());
                Box::pin(async move { Ok(query.fetch_optional(connection).await?) })
            })
            .await
        })
    }
}
