//! A user's SQL and the engine's in one transaction: transactional activities and transactional clients (PROTOCOL 22).
//!
//! The transaction of an attempt ends with one statement: take the token, put the outcome into the inbox,
//! pass the fence. A token that is gone means that the attempt was decided otherwise, and all is rolled back,
//! the user's rows too.

use super::connection::{NO_ANSWER, no_answer};
use super::control::channel;
use super::failure::kind;
use super::message::send;
use super::notification::Notification;
use super::rows::{number, signed};
use super::shared::Shared;
use super::start::{Concerns, start};
use super::store::PostgresStore;
use crate::store::decide::{Notify, Receiver, attempt_id, joins, parking_statuses};
use crate::store::failure::Kind;
use crate::store::{
    AttemptTransaction, Counters, NewExecution, NewMessage, SendAnswer, Stage, StartAnswer, StoreError,
    StoreFuture, TaskKey, UserConnection, Within,
};
use abide_core::Incarnation;
use sqlx::{Executor, PgConnection, Postgres, Row, Transaction};
use std::sync::Arc;

/// `$1` worker, `$2` execution, `$3` activity, `$4` attempt, `$5` body.
pub(super) const COMPLETE: &str = concat!(
    "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE),
receiver AS MATERIALIZED (
    SELECT id, owner, queue, status FROM {s}.execution WHERE id = $2 AND status < 10 FOR KEY SHARE),
token AS (
    DELETE FROM {s}.task t USING fence, receiver r
    WHERE t.execution = r.id AND t.activity = $3 AND t.attempt = $4 AND t.queue IS NULL RETURNING t.execution),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
    SELECT r.id, 4, ",
    attempt_id!("$3", "$4"),
    ", $5, {now}, r.status ",
    parking_statuses!(),
    " FROM receiver r JOIN token ON token.execution = r.id
    ON CONFLICT DO NOTHING RETURNING 1)
SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM told), (SELECT owner FROM receiver),
    (SELECT queue FROM receiver)"
);

/// The savepoint tells whether the body has ended the transaction itself, or gone on after an error that
/// undid it. From here on the transaction holds locks of ours: a process that is stopped must not keep them.
const BRIEFLY: &str = "RELEASE SAVEPOINT abide; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// The user's own statements may take their time; their limits are the activity's.
const AT_LEISURE: &str = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = 0; SAVEPOINT abide";

/// The transaction of one attempt.
struct Attempt {
    shared: Arc<Shared>,
    transaction: Transaction<'static, Postgres>,
    owner: Incarnation,
    key: TaskKey,
}

impl Within for PostgresStore {
    /// The connection belongs to the store's thread: there it is opened.
    fn begin_attempt(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        Box::pin(async move {
            let (shared, pool) = (Arc::clone(&self.shared), self.transactions.clone());
            shared.fail(Stage::AttemptBegins)?;
            let begun = self.runtime.spawn(async move {
                let begun = async {
                    let mut transaction = pool.begin().await?;
                    transaction.execute(sqlx::raw_sql(AT_LEISURE)).await?;
                    Ok(transaction)
                };
                match tokio::time::timeout(NO_ANSWER, begun).await {
                    Ok(Ok(transaction)) => Ok(Box::new(Attempt { shared, transaction, owner, key }) as _),
                    Ok(Err(error)) => Err(again(&shared, error)),
                    Err(_) => {
                        shared.note_timeout();
                        Err(again(&shared, no_answer(NO_ANSWER)))
                    }
                }
            });
            begun.await.unwrap_or(Err(StoreError::Closed))
        })
    }

    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> StoreFuture<'a, StartAnswer> {
        Box::pin(async move {
            let connection = self.enter(connection).await?;
            let answer = async {
                let (answer, Concerns { ended, receiver }) = start(connection, &self.shared, &new).await?;
                let owners = ended.iter().filter_map(|ended| ended.owner);
                let told = owners.map(|owner| Notification::Worker(owner.0));
                let told = told.chain(receiver.as_ref().map(Notification::receiver));
                let told: Vec<_> =
                    told.chain([Notification::queue(&new.queue), Notification::News]).collect();
                tell_with_the_commit(connection, &self.shared, &told).await?;
                Ok(answer)
            };
            let answer = answer.await;
            let has_written = |answer: &StartAnswer| match answer {
                StartAnswer::Started => true,
                StartAnswer::Existing(open) => joins(&new, open),
                _ => false,
            };
            self.leave(connection, answer, has_written).await
        })
    }

    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> StoreFuture<'a, SendAnswer> {
        Box::pin(async move {
            let connection = self.enter(connection).await?;
            let answer = async {
                let (answer, receiver) = send(connection, &self.shared, &message).await?;
                if let Some(receiver) = receiver {
                    let told = Notification::receiver(&receiver);
                    tell_with_the_commit(connection, &self.shared, &[told]).await?;
                }
                Ok(answer)
            };
            let answer = answer.await;
            self.leave(connection, answer, |answer| *answer == SendAnswer::Sent).await
        })
    }
}

impl PostgresStore {
    /// Checks that it is a connection to this database and schema, and begins what can be undone alone.
    async fn enter<'c>(&self, connection: UserConnection<'c>) -> Result<&'c mut PgConnection, StoreError> {
        // The table's own number tells it from one of the same name elsewhere.
        const SAME: &str = "SELECT current_database()::text, to_regclass('{s}.execution')::oid::bigint";
        const ISOLATION: &str = "SELECT current_setting('transaction_isolation')";
        let Some(connection) = connection.into_typed::<PgConnection>() else {
            return Err(self.wrong("of another kind of database".to_owned()));
        };
        let there: (String, Option<i64>) = sqlx::query_as(self.shared.sql.of(SAME))
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.shared.user_error(error))?;
        let here = self.read(|shared, own| {
            Box::pin(async move { Ok(sqlx::query_as(shared.sql.of(SAME)).fetch_one(own).await?) })
        });
        if there != here.await? {
            return Err(self.wrong(format!("of database `{}`, or of another server", there.0)));
        }
        // A policy is decided by what others have committed by now, not when the transaction began.
        let isolation = sqlx::query_scalar::<_, String>(ISOLATION).fetch_one(&mut *connection).await;
        let isolation = isolation.map_err(|error| self.shared.user_error(error))?;
        if isolation != "read committed" {
            return Err(
                self.wrong(format!("in a transaction of isolation `{isolation}` (begin it READ COMMITTED)"))
            );
        }
        let begin = connection.execute(sqlx::raw_sql("SAVEPOINT abide_within")).await;
        begin.map_err(|error| self.shared.user_error(error))?;
        Ok(connection)
    }

    /// What has written nothing leaves the user's transaction as it was: an error of ours, and an answer for
    /// which there was nothing to do. That gives its locks back: the user's transaction would keep others
    /// from starting that name, and the run from closing, for as long as the user likes (PROTOCOL 23).
    async fn leave<T>(
        &self,
        connection: &mut PgConnection,
        answer: sqlx::Result<T>,
        has_written: impl FnOnce(&T) -> bool,
    ) -> Result<T, StoreError> {
        let end = match &answer {
            Ok(answer) if has_written(answer) => "RELEASE SAVEPOINT abide_within",
            _ => "ROLLBACK TO SAVEPOINT abide_within; RELEASE SAVEPOINT abide_within",
        };
        let left = connection.execute(sqlx::raw_sql(end)).await;
        let answer = answer.map_err(|error| self.shared.user_error(error))?;
        left.map_err(|error| self.shared.user_error(error))?;
        Ok(answer)
    }

    fn wrong(&self, found: String) -> StoreError {
        StoreError::WrongConnection { found, expected: self.shared.name.clone() }
    }
}

impl AttemptTransaction for Attempt {
    fn connection(&mut self) -> UserConnection<'_> {
        UserConnection::Postgres(&mut self.transaction)
    }

    fn complete(self: Box<Self>, body: String) -> StoreFuture<'static, bool> {
        Box::pin(async move {
            let Self { shared, mut transaction, owner, key } = *self;
            let ending = async {
                match write(&shared, &mut transaction, owner, key, &body).await {
                    Ok(Some(receiver)) => commit(&shared, transaction, receiver).await.map(|()| true),
                    other => {
                        // Where this fails the connection is closed, which does the same.
                        drop(transaction.rollback().await);
                        other.map(|_| false)
                    }
                }
            };
            // A server that says nothing any more: the token will tell.
            tokio::time::timeout(NO_ANSWER, ending).await.unwrap_or_else(|_| {
                shared.note_timeout();
                Err(StoreError::Unknown { message: no_answer(NO_ANSWER).to_string() })
            })
        })
    }

    fn roll_back(self: Box<Self>) -> StoreFuture<'static, ()> {
        Box::pin(async move {
            // One that fails ends with its connection.
            drop(self.transaction.rollback().await);
            Ok(())
        })
    }
}

/// The server tells all processes, this one too, when the user commits, and none otherwise. A notification
/// in a transaction is expensive under load (measured: commits with one top out at 4,000 to 5,000 a second), which
/// is why nothing else of ours has one.
async fn tell_with_the_commit(
    connection: &mut PgConnection,
    shared: &Shared,
    notifications: &[Notification],
) -> sqlx::Result<()> {
    let payload: Vec<String> = notifications.iter().map(Notification::text).collect();
    let notify = sqlx::query("SELECT pg_notify($1, $2)").bind(channel(shared));
    notify.bind(format!("p0,{}", payload.join(","))).execute(connection).await.map(drop)
}

/// Everything but the commit. `None`: the attempt was decided otherwise.
async fn write(
    shared: &Shared,
    transaction: &mut PgConnection,
    owner: Incarnation,
    key: TaskKey,
    body: &str,
) -> Result<Option<Receiver>, StoreError> {
    shared.fail(Stage::AttemptEnds)?;
    transaction.execute(sqlx::raw_sql(BRIEFLY)).await.map_err(|error| match kind(&error) {
        Kind::Refused => StoreError::TransactionEnded { message: error.to_string() },
        _ => again(shared, error),
    })?;
    let row = sqlx::query(shared.sql.of(COMPLETE))
        .bind(owner.0)
        .bind(key.execution.0)
        .bind(number(key.activity))
        .bind(signed(key.attempt))
        .bind(body)
        .fetch_one(transaction)
        .await
        .map_err(|error| again(shared, error))?;
    let read = |error| shared.error(error);
    // Told where the token was there, and the inbox had no outcome of this attempt.
    let (fence, told): (i64, i64) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
    match (fence, told) {
        (0, _) => return Err(StoreError::Fenced),
        (_, 0) => return Ok(None),
        _ => {}
    }
    // One statement has done all three.
    for stage in [Stage::TokenTaken, Stage::OutcomeKept, Stage::FencePassed] {
        shared.fail(stage)?;
    }
    let (owner, queue): (Option<i64>, Option<String>) =
        (row.try_get(2).map_err(read)?, row.try_get(3).map_err(read)?);
    Ok(Some(Receiver { owner: owner.map(Incarnation), queue: queue.unwrap_or_default() }))
}

/// An error of the commit means unknown (PROTOCOL 8), but for a constraint, which is the database's word.
async fn commit(
    shared: &Shared,
    transaction: Transaction<'static, Postgres>,
    receiver: Receiver,
) -> Result<(), StoreError> {
    transaction.commit().await.map_err(|error| match kind(&error) {
        Kind::Refused => StoreError::CommitRefused { message: error.to_string() },
        // The server's word as well: a serialization failure that only the commit finds.
        Kind::Busy => again(shared, error),
        _ => StoreError::Unknown { message: error.to_string() },
    })?;
    Counters::add(&shared.counters.commits, 1);
    shared.notify_receiver(&receiver);
    shared.fail(Stage::AttemptCommitted)
}

/// Before the commit nothing is in, so that the same may be done again.
fn again(shared: &Shared, error: sqlx::Error) -> StoreError {
    let message = error.to_string();
    match kind(&error) {
        Kind::Busy | Kind::Broken if !matches!(error, sqlx::Error::PoolClosed) => {
            StoreError::Conflicting { message }
        }
        _ => shared.error(error),
    }
}
