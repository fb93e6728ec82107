//! Opens a store: the steps from a path to a store that works.

use super::connection::{connect_options, connect_writer};
use super::failure::store_error;
use super::options::OpenOptions;
use super::shared::Shared;
use super::store::SqliteStore;
use super::{migrate, place, transaction, writer};
use crate::store::patience::Patience;
use crate::store::{Store, StoreError};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqlitePoolOptions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens the database in this file, and creates it if there is none.
pub(crate) async fn open(file: &Path, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(open_store(file, options).await?))
}

pub(super) async fn open_store(file: &Path, options: OpenOptions) -> Result<SqliteStore, StoreError> {
    let path = place::check(file)?;
    // Processes that open at the same moment hold locks for a moment.
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
    // AUTOINCREMENT remembers the highest id, so older rows are not needed any more.
    let older = sqlx::query("DELETE FROM id_block WHERE id < ?").bind(block);
    older.execute(&mut connection).await.map_err(failed)?;
    Ok((connection, block))
}
