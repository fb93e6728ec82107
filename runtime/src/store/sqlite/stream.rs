//! Streams (see `store/stream.rs`): the batch's section, the items of attempts, and reads.

use super::claim::fence;
use super::store::SqliteStore;
use super::tokens::sender_is_in;
use crate::store::row::{self, all};
use crate::store::stream::{Publication, most_bytes, most_items};
use crate::store::{
    NewItem, PublishedNews, READ_BYTES, READ_ITEMS, StoreFuture, StreamRow, Streams, Trouble,
};
use abide_core::{ExecutionId, Incarnation};
use sqlx::SqliteConnection;
use std::fmt::Write;

/// The next number of each stream of `$p`: execution, name, how many items, their bytes.
macro_rules! next_numbers {
    ($p:literal, $($only:tt)*) => {
        concat!(
            "
WITH u AS MATERIALIZED (SELECT value AS v FROM json_each(",
            $p,
            "))
INSERT INTO stream (execution, name, next_seq, bytes)
SELECT v->>0, v->>1, 1 + (v->>2), v->>3 FROM u WHERE ",
            $($only)*,
            "
ON CONFLICT (execution, name) DO UPDATE SET
    next_seq = next_seq + excluded.next_seq - 1, bytes = bytes + excluded.bytes"
        )
    };
}

/// `$i`: execution, name, place and bytes from the end, time, attempt, body.
macro_rules! insert_items {
    ($i:literal) => {
        concat!(
            "
WITH n AS MATERIALIZED (SELECT value AS v FROM json_each(",
            $i,
            "))
INSERT INTO stream_item (execution, name, seq, at, attempt, begins, body)
SELECT x.execution, x.name, x.next_seq - (v->>2), v->>4, v->>5, x.bytes - (v->>3), v->>6
FROM n CROSS JOIN stream x ON x.execution = v->>0 AND x.name = v->>1"
        )
    };
}

macro_rules! cut {
    ($p:literal) => {
        concat!(
            "
DELETE FROM stream_item WHERE rowid IN (
    SELECT d.rowid FROM json_each(",
            $p,
            ") p
    CROSS JOIN stream x ON x.execution = p.value->>0 AND x.name = p.value->>1
    CROSS JOIN stream_item d ON d.execution = x.execution AND d.name = x.name AND d.seq < max(x.next_seq - ",
            most_items!(),
            ", coalesce((
        SELECT f.seq FROM stream_item f
        WHERE f.execution = x.execution AND f.name = x.name AND f.begins >= x.bytes - ",
            most_bytes!(),
            "
        ORDER BY f.seq LIMIT 1), x.next_seq)))"
        )
    };
}

/// The batch's section. `$20`: streams; `$21`: items.
pub(super) const PUBLISH: [&str; 3] =
    [next_numbers!("$20", sender_is_in!("v->>0")), insert_items!("$21"), cut!("$20")];

/// Of an attempt, whose run must be open. `$1`: streams; `$2`: items.
const OF_ATTEMPT: [&str; 3] = [
    next_numbers!("$1", "EXISTS (SELECT 1 FROM execution e WHERE e.id = v->>0 AND e.status < 10)"),
    insert_items!("$2"),
    cut!("$1"),
];

/// `$1` execution, `$2` name, `$3` after, `$4` bytes, `$5` the most.
pub(super) const READ: &str = "
SELECT i.seq, i.at, i.attempt, i.body FROM stream_item i
WHERE i.execution = $1 AND i.name = $2 AND i.seq > $3 AND i.begins < coalesce((
    SELECT f.begins FROM stream_item f WHERE f.execution = $1 AND f.name = $2 AND f.seq > $3
    ORDER BY f.seq LIMIT 1), 0) + $4
ORDER BY i.seq LIMIT $5";

/// The streams and the items of a batch, as JSON.
pub(super) fn json(publication: &Publication<'_>) -> (String, String) {
    let text = |text: &str| serde_json::to_string(text).expect("text is always JSON");
    let (mut streams, mut items) = ("[".to_owned(), "[".to_owned());
    let comma = |list: &mut String| {
        if list.len() > 1 {
            list.push(',');
        }
    };
    for ((execution, name), part) in &publication.streams {
        let name = text(name);
        comma(&mut streams);
        write!(streams, "[{execution},{name},{},{}]", part.count(), part.bytes).expect("a String takes all");
        for placed in part.placed() {
            comma(&mut items);
            let item = placed.item;
            let attempt = item.attempt.map_or_else(|| "null".to_owned(), |attempt| attempt.to_string());
            let (back, bytes, body) = (placed.back, placed.bytes, text(&item.body));
            write!(items, "[{execution},{name},{back},{bytes},{},{attempt},{body}]", item.at_ms)
                .expect("a String takes all");
        }
    }
    streams.push(']');
    items.push(']');
    (streams, items)
}

async fn publish(
    connection: &mut SqliteConnection,
    owner: Incarnation,
    (streams, items): (String, String),
) -> Result<(), Trouble> {
    fence(connection, owner).await?;
    let [next_numbers, insert, cut] = OF_ATTEMPT;
    let numbers = sqlx::query(next_numbers).bind(&streams).execute(&mut *connection).await?;
    if numbers.rows_affected() > 0 {
        // `$1` is not used here.
        sqlx::query(insert).bind("").bind(items).execute(&mut *connection).await?;
        sqlx::query(cut).bind(streams).execute(connection).await?;
    }
    Ok(())
}

impl Streams for SqliteStore {
    fn publish(
        &self,
        owner: Incarnation,
        execution: ExecutionId,
        items: Vec<NewItem>,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut publication = Publication::default();
            publication.add(execution, owner, false, &items);
            let rows = json(&publication);
            self.call(move |connection| Box::pin(publish(connection, owner, rows))).await?;
            self.shared.readers.tell(execution);
            Ok(())
        })
    }

    fn stream_items(
        &self,
        execution: ExecutionId,
        stream: String,
        after: i64,
    ) -> StoreFuture<'_, Vec<StreamRow>> {
        Box::pin(self.reading(async move |readers| {
            let read = sqlx::query(READ).bind(execution.0).bind(stream).bind(after);
            let read = read.bind(READ_BYTES).bind(READ_ITEMS);
            all(&read.fetch_all(readers).await?, row::item)
        }))
    }

    fn published(&self) -> PublishedNews {
        self.shared.readers.listen()
    }
}
