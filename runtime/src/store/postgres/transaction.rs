//! A user's SQL and the engine's in one transaction: transactional activities and transactional clients (PROTOCOL 22).
//!
//! The transaction of an attempt ends with one statement: take the token, put the outcome into the inbox, pass the fence. A
//! token that is gone means that the attempt was decided otherwise, and all is rolled back, the user's rows too.

use super::PostgresStore;
use super::failure::kind;
use super::message::{Receiver, send};
use super::shared::Shared;
use super::start::start;
use super::task::{number, signed};
use crate::store::group::Kind;
use crate::store::{
    AttemptTransaction, Counters, NewExecution, NewMessage, SendAnswer, StartAnswer, StoreError, StoreFuture,
    TaskKey, UserConnection,
};
use abide_core::Incarnation;
use sqlx::{Executor, PgConnection, Postgres, Row, Transaction};
use std::sync::Arc;

/// `$1` worker, `$2` execution, `$3` activity, `$4` attempt, `$5` body.
pub(super) const COMPLETE: &str = "WITH fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 FOR KEY SHARE),
token AS (
    DELETE FROM {s}.task t USING fence
    WHERE t.execution = $2 AND t.activity = $3 AND t.attempt = $4 AND t.queue IS NULL RETURNING t.execution),
receiver AS MATERIALIZED (
    SELECT id, owner, queue FROM {s}.execution WHERE id = $2 AND status < 10 FOR KEY SHARE),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
    SELECT r.id, 4, 'attempt/' || $3 || '/' || $4, $5, {now} FROM receiver r JOIN token ON token.execution = r.id
    ON CONFLICT DO NOTHING)
SELECT (SELECT count(*) FROM fence), (SELECT count(*) FROM token), (SELECT owner FROM receiver),
    (SELECT queue FROM receiver)";

/// From here on the transaction holds locks of ours: a process that is stopped must not keep them.
const BRIEFLY: &str = "SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// The user's own statements may take their time; their limits are the activity's.
const AT_LEISURE: &str = "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL statement_timeout = 0;
    SET LOCAL lock_timeout = 0";

/// The transaction of one attempt.
struct Attempt {
    shared: Arc<Shared>,
    transaction: Transaction<'static, Postgres>,
    owner: Incarnation,
    key: TaskKey,
}

impl PostgresStore {
    /// On the caller's runtime would do, but the connection belongs to the store's thread; there it is opened.
    pub(super) async fn begin(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> Result<Box<dyn AttemptTransaction>, StoreError> {
        let (shared, pool) = (Arc::clone(&self.shared), self.transactions.clone());
        let begun = self.runtime.spawn(async move {
            let begun = async {
                let mut transaction = pool.begin().await?;
                transaction.execute(sqlx::raw_sql(AT_LEISURE)).await?;
                Ok(transaction)
            };
            match begun.await {
                Ok(transaction) => Ok(Box::new(Attempt { shared, transaction, owner, key }) as _),
                Err(error) => Err(again(&shared, error)),
            }
        });
        begun.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) async fn start_on<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> Result<StartAnswer, StoreError> {
        let connection = self.own(connection)?;
        let (answer, _) =
            start(connection, &self.shared, &new).await.map_err(|error| self.shared.error(error))?;
        // A rolled-back transaction makes these idle looks.
        self.shared.tell_queue(&new.queue);
        Ok(answer)
    }

    pub(super) async fn send_on<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> Result<SendAnswer, StoreError> {
        let connection = self.own(connection)?;
        let sent = send(connection, &self.shared, &message).await;
        let (answer, receiver) = sent.map_err(|error| self.shared.error(error))?;
        if let Some(Receiver { owner, queue }) = receiver {
            self.shared.tell_owner(owner, &queue);
        }
        Ok(answer)
    }

    fn own<'a>(&self, connection: UserConnection<'a>) -> Result<&'a mut PgConnection, StoreError> {
        match connection {
            UserConnection::Postgres(connection) => Ok(connection),
            #[allow(unreachable_patterns)] // with one store there is no other
            _ => Err(StoreError::WrongConnection {
                found: "SQLite".to_owned(),
                expected: self.shared.name.clone(),
            }),
        }
    }
}

impl AttemptTransaction for Attempt {
    fn connection(&mut self) -> UserConnection<'_> {
        UserConnection::Postgres(&mut self.transaction)
    }

    fn complete(self: Box<Self>, body: String) -> StoreFuture<'static, bool> {
        Box::pin(async move {
            let Self { shared, mut transaction, owner, key } = *self;
            let row = async {
                transaction.execute(sqlx::raw_sql(BRIEFLY)).await?;
                sqlx::query(shared.sql.of(COMPLETE))
                    .bind(owner.0)
                    .bind(key.execution.0)
                    .bind(number(key.activity))
                    .bind(signed(key.attempt))
                    .bind(body)
                    .fetch_one(&mut *transaction)
                    .await
            };
            let row = row.await.map_err(|error| again(&shared, error))?;
            let read = |error| shared.error(error);
            let (fence, token): (i64, i64) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
            if fence == 0 || token == 0 {
                drop(transaction.rollback().await);
                return if fence == 0 { Err(StoreError::Fenced) } else { Ok(false) };
            }
            transaction.commit().await.map_err(|error| shared.error(error))?;
            Counters::add(&shared.counters.commits, 1);
            let queue: Option<String> = row.try_get(3).map_err(read)?;
            shared.tell_owner(row.try_get(2).map_err(read)?, &queue.unwrap_or_default());
            Ok(true)
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
