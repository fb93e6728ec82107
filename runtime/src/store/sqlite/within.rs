//! What a client writes inside a transaction of the user's own: it happens if the user commits (the outbox).
//!
//! The user's connection is checked to be on the store's file. A savepoint makes the engine's statements one, also where
//! they fail and the user goes on. Nobody is told: the commit is the user's, and workers find it as they find
//! those of other processes, by the writer's `PRAGMA data_version`.

use super::failure::{is_snapshot, store_error};
use super::{SqliteStore, message, start};
use crate::store::{NewExecution, NewMessage, SendAnswer, StartAnswer, StoreError, UserConnection};
use sqlx::{Executor, Row, SqliteConnection};
use std::path::Path;
use std::time::Duration;

impl SqliteStore {
    pub(super) async fn start_on(
        &self,
        connection: UserConnection<'_>,
        new: NewExecution,
    ) -> Result<StartAnswer, StoreError> {
        let connection = self.enter(connection).await?;
        let answer = start::start(connection, &new).await;
        self.leave(connection, answer).await
    }

    pub(super) async fn send_on(
        &self,
        connection: UserConnection<'_>,
        message: NewMessage,
    ) -> Result<SendAnswer, StoreError> {
        let connection = self.enter(connection).await?;
        let answer = message::send(connection, &message).await;
        self.leave(connection, answer).await
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
        // The write lock before the first look: what is looked at then stays as it is.
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

/// The file of a connection's main database; empty for one in memory.
async fn main_file(connection: &mut SqliteConnection) -> sqlx::Result<String> {
    let databases = connection.fetch_all("PRAGMA database_list").await?;
    let main = databases.iter().find(|row| row.try_get::<&str, _>("name").is_ok_and(|name| name == "main"));
    main.map_or(Ok(String::new()), |row| Ok(row.try_get::<Option<String>, _>("file")?.unwrap_or_default()))
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
