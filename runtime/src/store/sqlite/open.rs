//! Opening: connections and their settings, and the steps from a URL to a store that works.

use super::failure::store_error;
use super::{Shared, SqliteStore, migrate, place, transaction, writer};
use crate::store::owner::LEASE;
use crate::store::patience::Patience;
use crate::store::{FaultHook, Store, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// How a database is opened. `Default` is what is meant for use.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// How long a call waits for a lock that another program holds. Default: 10 s. Appends wait without limit.
    pub(crate) busy_timeout: Duration,
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// How long the transaction of an attempt may keep the writer waiting. Default: 5 s, of a lease's 12.
    pub(crate) attempt_limit: Duration,
    /// Connections that read. Default: 4.
    pub(crate) readers: u32,
    /// Faults for tests. Default: none.
    pub(crate) fault: Option<FaultHook>,
    /// What tests add to the wall clock, in ms. Default: none.
    pub(crate) skew_ms: Option<Arc<AtomicI64>>,
}

impl OpenOptions {
    pub(super) fn skew_ms(&self) -> i64 {
        self.skew_ms.as_ref().map_or(0, |skew| skew.load(Ordering::Relaxed))
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(10),
            lease: LEASE,
            attempt_limit: Duration::from_secs(5),
            readers: 4,
            fault: None,
            skew_ms: None,
        }
    }
}

/// How long SQLite itself waits for a lock; we wait in slices of this, to warn and to answer in between.
const LOCK_SLICE: Duration = Duration::from_millis(250);

/// Opens the database in this file, making it where there is none.
pub(crate) async fn open(file: &Path, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(open_store(file, options).await?))
}

pub(super) async fn open_store(file: &Path, options: OpenOptions) -> Result<SqliteStore, StoreError> {
    let path = place::check(file)?;
    // Others that open at the same moment hold locks for a moment.
    let mut patience = Patience::steady(options.busy_timeout, Duration::from_millis(20));
    let (connection, block) = loop {
        match prepare(&path).await {
            Ok(ready) => break ready,
            Err(StoreError::Busy { path, .. }) => {
                patience.again(StoreError::Busy { path, waited: options.busy_timeout }).await?;
            }
            Err(error) => return Err(error),
        }
    };
    let reader = connect_options(&path).create_if_missing(false).pragma("query_only", "1");
    let reader = reader.busy_timeout(options.busy_timeout);
    let readers = SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(options.readers.max(1))
        .acquire_timeout(options.busy_timeout)
        .idle_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        .connect_lazy_with(reader);
    let attempts = transaction::pool(&path, options.busy_timeout);
    let shared = Arc::new(Shared::new(path, options, block));
    writer::spawn(Arc::clone(&shared), connection)?;
    Ok(SqliteStore { shared, readers, attempts })
}

/// Connects, checks whose file it is, brings it up to date and takes a block of ids.
async fn prepare(path: &Path) -> Result<(SqliteConnection, i64), StoreError> {
    let failed = |error| store_error(path, error, Duration::ZERO);
    let mut connection = connect_writer(path).await.map_err(failed)?;
    migrate::migrate(path, &mut connection).await?;
    let block = sqlx::query("INSERT INTO id_block (taken_at) VALUES (unixepoch() * 1000)");
    let block = block.execute(&mut connection).await.map_err(failed)?.last_insert_rowid();
    // AUTOINCREMENT remembers the highest by itself; older rows tell nothing any more.
    let older = sqlx::query("DELETE FROM id_block WHERE id < ?").bind(block);
    older.execute(&mut connection).await.map_err(failed)?;
    Ok((connection, block))
}

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

fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(false)
        .busy_timeout(LOCK_SLICE)
        .disable_statement_logging()
}
