//! Brings a database up to this build's schema, and refuses those that are not ours or that are newer.
//!
//! Each migration is one transaction that also writes its row into `abide_migration`: a process killed in the middle
//! leaves the schema as it was, and of many that open at once one migrates while the others wait for the lock and
//! then find it done.

use super::failure::{kind, store_error};
use super::life::{is_free, lock_path};
use super::schema::{APPLICATION_ID, MIGRATIONS, REFUSES_OLDER, version};
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
    if REFUSES_OLDER.contains(&number) {
        let older =
            running(path, connection).await.map_err(|error| store_error(path, error, Duration::ZERO))?;
        if !older.is_empty() {
            let older = older.join(", ");
            let message = format!("workers of an older abide are running ({older}): shut them down first");
            return Err(StoreError::Migration { path: shown, version: number, message, source: None });
        }
    }
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

/// The workers that run. A lock file tells; where it is missing, the lease does. Not in the migration's text as on
/// Postgres, because a killed worker's lease lasts for 12 s, and SQL cannot see that its lock file is free.
async fn running(path: &Path, connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let workers = "SELECT w.name, w.queue, w.lock_file, max(l.lease_until) > unixepoch() * 1000
        FROM worker w JOIN lease l ON l.worker = w.id GROUP BY w.id";
    let workers: Vec<(String, String, String, bool)> = sqlx::query_as(workers).fetch_all(connection).await?;
    let lives = |lock: &str, leased: bool| {
        let file = lock_path(path, lock);
        if file.exists() { !is_free(&file) } else { leased }
    };
    let running = workers.into_iter().filter(|(.., lock, leased)| lives(lock, *leased));
    Ok(running.map(|(name, queue, ..)| format!("`{name}` on task queue `{queue}`")).collect())
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
