//! A user's SQL and the engine's in one transaction: transactional activities and transactional clients (PROTOCOL 22).
//!
//! An attempt's transaction has a connection of its own. SQLite has one write lock, so the writer pauses for
//! the attempt ([`Pause`], a place in its queue), and the two never wait for each other by polling. The pause
//! ends when the transaction has ended, or at the time limit, whatever the body does. A savepoint below the
//! user's statements shows whether the body has ended the transaction itself.
//!
//! A client's connection is checked to be on the store's file. The engine's statements are in a savepoint, so
//! that they take effect together or not at all, also if they fail and the user goes on. The commit is the
//! user's, so no worker is notified: they notice it by the writer's `PRAGMA data_version`, as they notice
//! commits of other processes.

use super::connection::writing;
use super::failure::{is_snapshot, kind, store_error};
use super::job::{Granted, Item, Pause};
use super::shared::Shared;
use super::store::SqliteStore;
use super::task::OUTCOME;
use super::{message, start};
use crate::future::BoxFuture;
use crate::store::decide::attempt_request_id;
use crate::store::failure::Kind;
use crate::store::{
    AttemptTransaction, Counters, MessageKind, NewExecution, NewMessage, SendAnswer, Stage, StartAnswer,
    StoreError, StoreFuture, TaskKey, UserConnection, Within,
};
use abide_core::Incarnation;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Executor, Row, Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The most connections at once: one in its transaction, others being closed.
const MOST: u32 = 8;

/// How many steps of a statement run between two checks of the time limit.
const STEPS: i32 = 10_000;

/// Makes the attempts' connections. Each serves one attempt, so that no setting of a body reaches the next.
pub(super) fn pool(path: &Path, patience: Duration) -> SqlitePool {
    SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(MOST)
        .acquire_timeout(patience)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|_, _| Box::pin(async { Ok(false) }))
        // The user's tables keep their foreign keys, as with any connection of sqlx.
        .connect_lazy_with(writing(path).create_if_missing(false).foreign_keys(true))
}

/// See the module's head.
struct Attempt {
    shared: Arc<Shared>,
    owner: Incarnation,
    key: TaskKey,
    /// Until it ends.
    transaction: Option<Transaction<'static, Sqlite>>,
    pause: Option<Granted>,
    cut_off: CancellationToken,
}

impl SqliteStore {
    async fn begin(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> Result<Box<dyn AttemptTransaction>, StoreError> {
        let shared = Arc::clone(&self.shared);
        shared.fail(Stage::AttemptBegins)?;
        let pause = self.pause().await?;
        let since = Instant::now();
        let begun = self.begin_on(&pause.cut_off).await;
        let transaction = begun.map_err(|error| match kind(&error) {
            // Nothing was sent to the database yet, so the call may be repeated.
            Kind::Broken => StoreError::Conflicting { message: error.to_string() },
            _ => store_error(&shared.path, error, since.elapsed()),
        })?;
        let cut_off = pause.cut_off.clone();
        let (transaction, pause) = (Some(transaction), Some(pause));
        Ok(Box::new(Attempt { shared, owner, key, transaction, pause, cut_off }))
    }

    /// Waits for its turn in the writer's queue.
    async fn pause(&self) -> Result<Granted, StoreError> {
        let (grant, granted) = oneshot::channel();
        let pause = Item::Pause(Pause { since: Instant::now(), grant });
        self.shared.queue.job(pause).map_err(|_| StoreError::Closed)?;
        granted.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn begin_on(&self, cut_off: &CancellationToken) -> sqlx::Result<Transaction<'static, Sqlite>> {
        let mut transaction = self.attempts.begin_with("BEGIN IMMEDIATE").await?;
        transaction.execute("SAVEPOINT abide").await?;
        let cut_off = cut_off.clone();
        let mut handle = transaction.lock_handle().await?;
        handle.set_progress_handler(STEPS, move || !cut_off.is_cancelled());
        drop(handle);
        Ok(transaction)
    }

    async fn enter<'c>(
        &self,
        connection: UserConnection<'c>,
    ) -> Result<&'c mut SqliteConnection, StoreError> {
        let Some(connection) = connection.into_typed::<SqliteConnection>() else {
            return Err(self.wrong("of another kind of database".to_owned()));
        };
        let file = main_file(connection).await.map_err(|error| self.user_error(error))?;
        if !is_same(Path::new(&file), &self.shared.path) {
            return Err(self.wrong(format!("SQLite on `{file}`")));
        }
        connection.execute("SAVEPOINT abide_within").await.map_err(|error| self.user_error(error))?;
        // Takes the write lock before the first read, so that what is read stays as it is.
        match connection.execute("UPDATE execution SET status = status WHERE 0").await {
            Ok(_) => Ok(connection),
            Err(error) => self.leave(connection, Err(error)).await,
        }
    }

    async fn leave<T>(
        &self,
        connection: &mut SqliteConnection,
        answer: sqlx::Result<T>,
    ) -> Result<T, StoreError> {
        let end = match answer {
            Ok(_) => "RELEASE abide_within",
            Err(_) => "ROLLBACK TO abide_within; RELEASE abide_within",
        };
        let left = connection.execute(end).await;
        let answer = answer.map_err(|error| self.user_error(error))?;
        left.map_err(|error| self.user_error(error))?;
        Ok(answer)
    }

    fn user_error(&self, error: sqlx::Error) -> StoreError {
        if is_snapshot(&error) {
            let message = "another has written since it began to read: begin it with \"BEGIN IMMEDIATE\"";
            return StoreError::Conflicting { message: message.to_owned() };
        }
        store_error(&self.shared.path, error, Duration::ZERO)
    }

    fn wrong(&self, found: String) -> StoreError {
        StoreError::WrongConnection { found, expected: format!("SQLite on `{}`", self.shared.path.display()) }
    }
}

impl Within for SqliteStore {
    fn begin_attempt(
        &self,
        owner: Incarnation,
        key: TaskKey,
    ) -> StoreFuture<'_, Box<dyn AttemptTransaction>> {
        Box::pin(self.begin(owner, key))
    }

    fn start_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        new: NewExecution,
    ) -> StoreFuture<'a, StartAnswer> {
        Box::pin(async move {
            let connection = self.enter(connection).await?;
            let answer = start::start(connection, &new).await;
            self.leave(connection, answer).await
        })
    }

    fn send_within<'a>(
        &'a self,
        connection: UserConnection<'a>,
        message: NewMessage,
    ) -> StoreFuture<'a, SendAnswer> {
        Box::pin(async move {
            let connection = self.enter(connection).await?;
            let answer = message::send(connection, &message).await;
            self.leave(connection, answer).await
        })
    }
}

/// The file of a connection's main database; empty for one in memory.
async fn main_file(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    let databases = connection.fetch_all("PRAGMA database_list").await?;
    let main = databases.iter().find(|row| row.try_get::<&str, _>("name").is_ok_and(|name| name == "main"));
    main.map_or(Ok(String::new()), |row| Ok(row.try_get::<Option<String>, _>("file")?.unwrap_or_default()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

impl AttemptTransaction for Attempt {
    fn connection(&mut self) -> UserConnection<'_> {
        let transaction = self.transaction.as_mut().expect("only its end takes it, by value");
        UserConnection::Sqlite(transaction)
    }

    fn complete(mut self: Box<Self>, body: String) -> StoreFuture<'static, bool> {
        Box::pin(async move {
            let Some(mut transaction) = self.transaction.take() else { return Ok(false) };
            let ended = match self.write(&mut transaction, &body).await {
                Ok(true) => self.commit(transaction).await,
                other => {
                    // If this fails, the connection is closed, which does the same.
                    drop(transaction.rollback().await);
                    other
                }
            };
            if let (Err(error @ StoreError::Io { .. }), Some(pause)) = (&ended, self.pause.take()) {
                // The writer may have gone on without: then its own next commit fails.
                drop(pause.back.send(error.clone()));
            }
            ended
        })
    }

    fn roll_back(mut self: Box<Self>) -> StoreFuture<'static, ()> {
        Box::pin(async move {
            let Some(transaction) = self.transaction.take() else { return Ok(()) };
            let path = self.shared.path.clone();
            transaction.rollback().await.map_err(|error| store_error(&path, error, Duration::ZERO))
        })
    }

    fn holds(&self) -> Option<Arc<Path>> {
        Some(Arc::from(self.shared.path.as_path()))
    }

    fn cut_off(&self) -> BoxFuture<'static, StoreError> {
        let (over, error) = (self.cut_off.clone(), self.too_long());
        Box::pin(async move {
            over.cancelled().await;
            error
        })
    }
}

impl Attempt {
    fn too_long(&self) -> StoreError {
        StoreError::TooLong { limit: self.shared.options.attempt_limit }
    }

    /// Everything except the commit. False: the attempt was already decided.
    async fn write(&self, connection: &mut SqliteConnection, body: &str) -> Result<bool, StoreError> {
        if self.cut_off.is_cancelled() {
            return Err(self.too_long());
        }
        let failed = |error| store_error(&self.shared.path, error, Duration::ZERO);
        self.shared.fail(Stage::AttemptEnds)?;
        connection.lock_handle().await.map_err(failed)?.remove_progress_handler();
        connection.execute("RELEASE abide").await.map_err(|error| match kind(&error) {
            Kind::Refused => StoreError::TransactionEnded { message: error.to_string() },
            _ => failed(error),
        })?;
        let TaskKey { execution, activity, attempt, .. } = self.key;
        let activity_id = i64::try_from(activity.0).unwrap_or(i64::MAX);
        let token = sqlx::query("DELETE FROM task WHERE execution = ? AND activity = ? AND attempt = ?")
            .bind(execution.0)
            .bind(activity_id)
            .bind(i64::from(attempt));
        if token.execute(&mut *connection).await.map_err(failed)?.rows_affected() != 1 {
            return Ok(false);
        }
        self.shared.fail(Stage::TokenTaken)?;
        let outcome = sqlx::query(OUTCOME)
            .bind(execution.0)
            .bind(MessageKind::Attempt.code())
            .bind(attempt_request_id(activity, attempt))
            .bind(body)
            .bind(self.shared.clock.now_ms());
        if outcome.execute(&mut *connection).await.map_err(failed)?.rows_affected() != 1 {
            return Ok(false);
        }
        self.shared.fail(Stage::OutcomeKept)?;
        let fence = sqlx::query("SELECT 1 FROM lease WHERE worker = ? AND slot = 0").bind(self.owner.0);
        if fence.fetch_optional(connection).await.map_err(failed)?.is_none() {
            return Err(StoreError::Fenced);
        }
        self.shared.fail(Stage::FencePassed)?;
        Ok(true)
    }

    /// An error of the commit means unknown (PROTOCOL 8), except a constraint's, which the database reports.
    async fn commit(&self, transaction: Transaction<'static, Sqlite>) -> Result<bool, StoreError> {
        transaction.commit().await.map_err(|error| match kind(&error) {
            Kind::Io => store_error(&self.shared.path, error, Duration::ZERO),
            Kind::Refused => StoreError::CommitRefused { message: error.to_string() },
            _ => StoreError::Unknown { message: error.to_string() },
        })?;
        // The attempt's worker is notified by its end. Others notice the commit as any that is not the writer's.
        Counters::add(&self.shared.counters.commits, 1);
        self.shared.fail(Stage::AttemptCommitted)?;
        Ok(true)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let (Some(transaction), pause) = (self.transaction.take(), self.pause.take()) else { return };
        // The writer goes on only when the lock is free. Without a runtime the connection is closed, which rolls back.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                drop(transaction.rollback().await);
                drop(pause);
            });
        }
    }
}
