//! Brings a database up to this build's schema, and refuses those that are not ours or that are newer.
//!
//! Each migration is one transaction that also writes its row into `abide_migration`: a process killed in the middle
//! leaves the schema as it was, and of many that open at once one migrates while the others wait for the lock and
//! then find it done.

use super::failure::{kind, store_error};
use super::schema::{APPLICATION_ID, MIGRATIONS, version};
use crate::store::StoreError;
use crate::store::failure::Kind;
use sqlx::{AssertSqlSafe, Executor, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS abide_migration (
    version    INTEGER PRIMARY KEY,
    build      TEXT    NOT NULL,         -- the abide that did it
    applied_at INTEGER NOT NULL
)";

/// Checks and migrates.
pub(super) async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |error| store_error(path, error, Duration::ZERO);
    if found(connection).await.map_err(failed)? == Found::Version(version()) {
        return Ok(());
    }
    loop {
        connection.execute("BEGIN IMMEDIATE").await.map_err(failed)?;
        let done = step(path, connection).await;
        let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = connection.execute(end).await;
        if done? {
            return ended.map(drop).map_err(failed);
        }
        ended.map_err(failed)?;
    }
}

/// One migration, inside a transaction. True: there was nothing left to do.
async fn step(path: &Path, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
    let shown = path.display().to_string();
    let at = match found(connection).await.map_err(|error| store_error(path, error, Duration::ZERO))? {
        Found::Version(at) if at > version() => {
            return Err(StoreError::Newer { path: shown, found: at, known: version() });
        }
        Found::Version(at) => at,
        Found::Foreign(table) => {
            let message = format!("it has a table `{table}` but no `abide_migration`");
            return Err(StoreError::Foreign { path: shown, message });
        }
    };
    let Some(migration) = usize::try_from(at).ok().and_then(|at| MIGRATIONS.get(at)) else { return Ok(true) };
    let number = at + 1;
    let applied: Result<(), sqlx::Error> = async {
        if at == 0 {
            connection.execute(AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"))).await?;
            connection.execute(TABLE).await?;
        }
        connection.execute(sqlx::raw_sql(*migration)).await?;
        sqlx::query(
            "INSERT INTO abide_migration (version, build, applied_at) VALUES (?, ?, unixepoch() * 1000)",
        )
        .bind(number)
        .bind(env!("CARGO_PKG_VERSION"))
        .execute(&mut *connection)
        .await?;
        Ok(())
    }
    .await;
    applied.map(|()| false).map_err(|error| match kind(&error) {
        Kind::Busy | Kind::Full | Kind::Io | Kind::ReadOnly => store_error(path, error, Duration::ZERO),
        _ => StoreError::Migration {
            path: shown,
            version: number,
            message: error.to_string(),
            source: Some(Arc::new(error)),
        },
    })
}

/// What a database turns out to be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Ours (or empty: 0).
    Version(i64),
    /// It has this table, and not ours.
    Foreign(String),
}

async fn found(connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *connection).await?;
    if tables.iter().any(|table| table == "abide_migration") {
        let at = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM abide_migration");
        return Ok(Found::Version(at.fetch_one(connection).await?));
    }
    Ok(tables.into_iter().next().map_or(Found::Version(0), Found::Foreign))
}
