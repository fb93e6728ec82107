//! Connections and their settings.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::time::Duration;

/// How long SQLite itself waits for a lock; we wait in slices of this, to warn and to answer in between.
const LOCK_SLICE: Duration = Duration::from_millis(250);

/// The writer's connection: WAL, and room for its statements.
pub(super) async fn connect_writer(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = writing(path)
        .create_if_missing(true)
        .statement_cache_capacity(160)
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "MEMORY");
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    if mode != "wal" {
        sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await?;
    }
    Ok(connection)
}

/// A connection that writes: every commit on the disk before it is told (`synchronous=FULL`; on macOS fsync does not
/// reach the disk without `fullfsync`). No mmap: a full or failing disk would be a signal, not an error.
pub(super) fn writing(path: &Path) -> SqliteConnectOptions {
    connect_options(path)
        .pragma("synchronous", "FULL")
        .pragma("fullfsync", "1")
        .pragma("checkpoint_fullfsync", "1")
        // Pages that many commits touch go to the file once: 16 MiB of WAL between checkpoints.
        .pragma("wal_autocheckpoint", "4096")
}

pub(super) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .busy_timeout(LOCK_SLICE)
        .disable_statement_logging()
}
