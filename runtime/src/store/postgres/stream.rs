//! Streams (see `store/stream.rs`): the batch's section, the items of attempts, and reads.

use super::rows::{Bound, signed};
use super::shared::Shared;
use super::sql::numbered;
use super::store::PostgresStore;
use crate::store::decide::{Notify, Sections};
use crate::store::row::{self, all};
use crate::store::stream::{Publication, most_bytes, most_items};
use crate::store::{
    NewItem, PublishedNews, READ_BYTES, READ_ITEMS, StoreError, StoreFuture, StreamRow, Streams, Trouble,
};
use abide_core::{ExecutionId, Incarnation};
use sqlx::{PgConnection, Row};
use std::sync::LazyLock;

/// What some appends, or an attempt, publish.
#[derive(Default)]
pub(super) struct Published {
    executions: Vec<i64>,
    names: Vec<String>,
    counts: Vec<i64>,
    bytes: Vec<i64>,
    owners: Vec<i64>,
    starts: Vec<bool>,
    items: Items,
}

#[derive(Default)]
struct Items {
    executions: Vec<i64>,
    names: Vec<String>,
    backs: Vec<i64>,
    bytes: Vec<i64>,
    ats: Vec<i64>,
    attempts: Vec<Option<i32>>,
    bodies: Vec<String>,
}

impl Published {
    pub(super) const PARAMETERS: usize = 13;

    /// A stream's row gives the next numbers, and is locked to the commit. `@@` is where the conditions go.
    const SQL: &'static str = concat!(
        ", streams AS (
    INSERT INTO {s}.stream AS x (execution, name, next_seq, bytes)
    SELECT p.execution, p.name, 1 + p.n, p.bytes
    FROM unnest(@1::bigint[], @2::text[], @3::bigint[], @4::bigint[], @5::bigint[], @6::boolean[])
        AS p(execution, name, n, bytes, owner, starts)
    JOIN fence ON fence.worker = p.owner
    WHERE true@@
    ORDER BY p.execution, p.name
    ON CONFLICT (execution, name) DO UPDATE SET
        next_seq = x.next_seq + excluded.next_seq - 1, bytes = x.bytes + excluded.bytes
    RETURNING execution, name, next_seq, bytes),
published AS (
    INSERT INTO {s}.stream_item (execution, name, seq, at, attempt, begins, body)
    SELECT x.execution, x.name, x.next_seq - i.back, i.at, i.attempt, x.bytes - i.bytes, i.body
    FROM unnest(@7::bigint[], @8::text[], @9::bigint[], @10::bigint[], @11::bigint[], @12::integer[], @13::text[])
        AS i(execution, name, back, bytes, at, attempt, body)
    JOIN streams x ON x.execution = i.execution AND x.name = i.name),
cut AS (
    DELETE FROM {s}.stream_item d USING streams x
    WHERE d.execution = x.execution AND d.name = x.name AND d.seq < greatest(x.next_seq - ",
        most_items!(),
        ", coalesce((
        SELECT k.seq FROM {s}.stream_item k
        WHERE k.execution = x.execution AND k.name = x.name AND k.begins >= x.bytes - ",
        most_bytes!(),
        "
        ORDER BY k.seq LIMIT 1), x.next_seq)))"
    );

    /// The streams are locked last (PROTOCOL 95), and a start that is not in publishes nothing.
    const AFTER_JOURNAL: &'static str = " AND (SELECT count(*) FROM written) >= 0";
    const AFTER_TASKS: &'static str = " AND (SELECT count(*) FROM held) >= 0";
    const AFTER_MESSAGES: &'static str = " AND (SELECT count(*) FROM sent) >= 0";
    const OF_STARTED: &'static str = " AND (NOT p.starts OR p.execution IN (SELECT id FROM born))";
    const OF_OPEN: &'static str =
        " AND EXISTS (SELECT FROM {s}.execution e WHERE e.id = p.execution AND e.status < 10)";

    /// Of a batch with these sections.
    pub(super) fn section(sections: Sections) -> String {
        let part = |section, text| if sections.has(section) { text } else { "" };
        let conditions = [
            part(Sections::JOURNAL, Self::AFTER_JOURNAL),
            part(Sections::TASKS, Self::AFTER_TASKS),
            part(Sections::MESSAGES, Self::AFTER_MESSAGES),
            part(Sections::BIRTHS, Self::OF_STARTED),
        ];
        Self::SQL.replace("@@", &conditions.concat())
    }

    pub(super) fn of(publication: &Publication<'_>) -> Self {
        let mut published = Self::default();
        for ((execution, name), part) in &publication.streams {
            published.executions.push(execution.0);
            published.names.push((*name).to_owned());
            published.counts.push(part.count());
            published.bytes.push(part.bytes);
            published.owners.push(part.owner);
            published.starts.push(part.starts);
            for placed in part.placed() {
                let items = &mut published.items;
                items.executions.push(execution.0);
                items.names.push((*name).to_owned());
                items.backs.push(placed.back);
                items.bytes.push(placed.bytes);
                items.ats.push(placed.item.at_ms);
                items.attempts.push(placed.item.attempt.map(signed));
                items.bodies.push(placed.item.body.clone());
            }
        }
        published
    }

    pub(super) fn bind<'a>(self, query: Bound<'a>) -> Bound<'a> {
        let Self { executions, names, counts, bytes, owners, starts, items } = self;
        let query = query.bind(executions).bind(names).bind(counts).bind(bytes).bind(owners).bind(starts);
        let query = query.bind(items.executions).bind(items.names).bind(items.backs).bind(items.bytes);
        query.bind(items.ats).bind(items.attempts).bind(items.bodies)
    }
}

/// The statement of an attempt: `$1` its worker.
pub(super) static OF_ATTEMPT: LazyLock<String> = LazyLock::new(|| {
    let section = Published::SQL.replace("@@", Published::OF_OPEN);
    let section = numbered(&section, 2, Published::PARAMETERS);
    format!(
        "WITH fence AS MATERIALIZED (
    SELECT worker FROM {{s}}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE){section}
SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM streams)"
    )
});

/// `$1` execution, `$2` name, `$3` after, `$4` bytes, `$5` the most.
pub(super) const READ: &str = "SELECT i.seq, i.at, i.attempt, i.body FROM {s}.stream_item i
    WHERE i.execution = $1 AND i.name = $2 AND i.seq > $3 AND i.begins < coalesce((
        SELECT f.begins FROM {s}.stream_item f WHERE f.execution = $1 AND f.name = $2 AND f.seq > $3
        ORDER BY f.seq LIMIT 1), 0) + $4
    ORDER BY i.seq LIMIT $5";

/// Publishes items of an attempt. False: the run has closed.
pub(super) async fn publish(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    execution: ExecutionId,
    items: &[NewItem],
) -> Result<bool, Trouble> {
    let mut publication = Publication::default();
    publication.add(execution, owner, false, items);
    let query = sqlx::query(shared.sql.of(&OF_ATTEMPT)).bind(owner.0);
    let row = Published::of(&publication).bind(query).fetch_one(connection).await?;
    match row.try_get::<i64, _>(0)? {
        0 => Err(Trouble::Refused(StoreError::Fenced)),
        _ => Ok(row.try_get::<i64, _>(1)? > 0),
    }
}

impl Streams for PostgresStore {
    fn publish(
        &self,
        owner: Incarnation,
        execution: ExecutionId,
        items: Vec<NewItem>,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let published = self.once(move |shared, connection| {
                let items = items.clone();
                Box::pin(async move { publish(connection, shared, owner, execution, &items).await })
            });
            if published.await? {
                self.shared.notify_readers(execution);
            }
            Ok(())
        })
    }

    fn stream_items(
        &self,
        execution: ExecutionId,
        stream: String,
        after: i64,
    ) -> StoreFuture<'_, Vec<StreamRow>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(READ)).bind(execution.0).bind(stream.clone()).bind(after);
            let query = query.bind(READ_BYTES).bind(READ_ITEMS);
            Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::item)?) })
        }))
    }

    fn published(&self) -> PublishedNews {
        self.shared.readers.listen()
    }
}
