//! Turns: queued for the writers, and read back, each call by one statement on a connection of the pool.

use super::store::PostgresStore;
use crate::store::row::{self, all, execution, execution_columns};
use crate::store::{
    Ack, Append, AttemptRow, BeatRow, ExecutionRow, InboxRow, Journal, MessageKind, StoreError, StoreFuture,
    StoredRun, StoredTurn, joined,
};
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::Row;
use sqlx::postgres::PgRow;

pub(super) const JOURNAL: &str =
    "SELECT seq, n, at, writer, body FROM {s}.journal WHERE execution = $1 ORDER BY seq";
/// Row, journal, inbox, failed attempts and heartbeats of one run in one statement, so in one snapshot (PROTOCOL 34).
/// Column 28 says what a row is.
pub(super) const RUN: &str = concat!(
    "SELECT ",
    execution_columns!("{s}."),
    ", 0 AS part, 0::bigint, 0::bigint, 0::bigint, 0::bigint, NULL::text, NULL::text
    FROM {s}.execution e WHERE e.id = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    1, j.seq, j.n, j.at, j.writer, j.body, NULL
    FROM {s}.journal j WHERE j.execution = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    2, i.id, i.kind, i.at, 0, i.body, i.request_id
    FROM {s}.inbox i WHERE i.execution = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    3, a.activity, a.attempt, a.next_at, 0, a.failure, NULL
    FROM {s}.attempt a WHERE a.execution = $1
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    4, k.activity, 0, coalesce(k.beat_at, 0), 0, k.details, NULL
    FROM {s}.task k WHERE k.execution = $1 AND k.details IS NOT NULL"
);

impl Journal for PostgresStore {
    fn submit(&self, append: Append, ack: Ack) {
        self.shared.queue.append(append, ack);
    }

    fn execution_id(&self) -> ExecutionId {
        self.shared.execution_id()
    }

    fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>> {
        Box::pin(async move {
            let turns = self.read(move |shared, connection| {
                let query = sqlx::query(shared.sql.of(JOURNAL)).bind(execution.0);
                Box::pin(async move { Ok(all(&query.fetch_all(connection).await?, row::turn)?) })
            });
            joined(turns.await?).map_err(|message| StoreError::Damaged { execution, message })
        })
    }

    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>> {
        Box::pin(self.read(move |shared, connection| {
            let query = sqlx::query(shared.sql.of(RUN)).bind(execution.0);
            Box::pin(async move { Ok(run(&query.fetch_all(connection).await?)?) })
        }))
    }
}

/// The rows of [`RUN`]. Their order is not the statement's.
fn run(rows: &[PgRow]) -> Result<Option<StoredRun>, sqlx::Error> {
    let (mut found, mut turns, mut inbox) = (None, Vec::new(), Vec::new());
    let (mut attempts, mut beats) = (Vec::new(), Vec::new());
    for row in rows {
        let (first, second, third): (i64, i64, i64) = (row.try_get(29)?, row.try_get(30)?, row.try_get(31)?);
        match row.try_get::<i32, _>(28)? {
            0 => found = Some(execution(row)?),
            1 => turns.push(StoredTurn {
                seq: EventId(first.unsigned_abs()),
                n: u32::try_from(second).unwrap_or(u32::MAX),
                at_ms: third,
                writer: Incarnation(row.try_get(32)?),
                body: row.try_get(33)?,
            }),
            3 => attempts.push(AttemptRow {
                activity: EventId(first.unsigned_abs()),
                attempt: u32::try_from(second).unwrap_or(u32::MAX),
                next_at_ms: third,
                failure: row.try_get(33)?,
            }),
            4 => beats.push(BeatRow {
                activity: EventId(first.unsigned_abs()),
                at_ms: Some(third).filter(|at_ms| *at_ms != 0),
                details: row.try_get(33)?,
            }),
            _ => inbox.push(InboxRow {
                id: first,
                execution: ExecutionId(0),
                kind: MessageKind::from_code(second),
                request_id: row.try_get(34)?,
                body: row.try_get(33)?,
                at_ms: third,
            }),
        }
    }
    turns.sort_by_key(|turn| turn.seq);
    inbox.sort_by_key(|row| row.id);
    attempts.sort_by_key(|row: &AttemptRow| row.activity);
    beats.sort_by_key(|row: &BeatRow| row.activity);
    Ok(found.map(|row: ExecutionRow| {
        inbox.iter_mut().for_each(|message| message.execution = row.id);
        StoredRun { journal: joined(turns), attempts, inbox, beats, row }
    }))
}
