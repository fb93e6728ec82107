//! Opening: from a URL to a store that works, and servers that are refused.

use super::connection::{connect, named, pool};
use super::failure::store_error;
use super::options::OpenOptions;
use super::process::Here;
use super::shared::{SLOTS, Shared};
use super::sql::{NOW, Sql};
use super::store::PostgresStore;
use super::timeout::LastTimeout;
use super::{control, migrate, writer};
use crate::store::{Store, StoreError};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The oldest server that is supported.
const OLDEST: u32 = 130_000;

/// The URL, and how errors name it.
pub(super) fn parse(url: &str, options: OpenOptions) -> Result<(OpenOptions, String), StoreError> {
    let shown = format!("{} (schema {})", crate::location::without_password(url), options.schema);
    let refused = |message: String| StoreError::Open { path: shown.clone(), message, source: None };
    let mut characters = options.schema.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !first || !rest || options.schema.len() > 50 || options.schema.starts_with("pg_") {
        let rule = "has 1 to 50 characters a-z, 0-9 and _, begins with no digit and not with `pg_`";
        return Err(refused(format!("a schema's name {rule}")));
    }
    let connect = PgConnectOptions::from_str(url).map_err(|error| refused(error.to_string()))?;
    // No startup parameter that poolers refuse: abide stores no floating point numbers.
    let connect = connect.extra_float_digits(None).statement_cache_capacity(256).disable_statement_logging();
    Ok((OpenOptions { connect, ..options }, shown))
}

/// Opens the database of this URL.
pub(crate) async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(open_store(url, options).await?))
}

pub(super) async fn open_store(url: &str, options: OpenOptions) -> Result<PostgresStore, StoreError> {
    let (options, name) = parse(url, options)?;
    let (ready, opened) = oneshot::channel();
    let named = name.clone();
    let thread = std::thread::Builder::new().name("abide-postgres".to_owned());
    let spawned = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(live(options, named, ready)),
            Err(error) => drop(ready.send(Err(thread_failed(&named, error)))),
        }
    });
    spawned.map_err(|error| thread_failed(&name, error))?;
    opened.await.unwrap_or(Err(StoreError::Closed))
}

/// The store's thread: all that talks to the server but for the writers, so that user code that blocks its
/// own runtime stalls nothing, and a user's runtime that ends breaks nothing off. Ends when the writers have
/// ended, and what they have put off.
async fn live(options: OpenOptions, name: String, ready: oneshot::Sender<Result<PostgresStore, StoreError>>) {
    let store = match prepare(options, name).await {
        Ok(store) => store,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let (mut ended, mut put_off) = (store.shared.ended.subscribe(), store.shared.put_off.subscribe());
    if let Err(unwanted) = ready.send(Ok(store)) {
        drop(unwanted);
    }
    // An error means that all is dropped already.
    drop(ended.wait_for(|ended| *ended == SLOTS).await);
    drop(put_off.wait_for(|put_off| *put_off == 0).await);
    // Calls that wait for the database's answer get it, or its lack.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn prepare(options: OpenOptions, name: String) -> Result<PostgresStore, StoreError> {
    let sql = Sql::new(&options.schema);
    let (mut connection, waited) = first_connection(&options, &name).await?;
    let failed = |error| store_error(&name, error, waited);
    check_server(&mut connection, &name).await?;
    check_pooler(&options, &mut connection, &name).await?;
    migrate::migrate(&name, &sql, &mut connection, options.migrate).await?;
    let block = sqlx::query_scalar::<_, i64>(sql.of("SELECT nextval('{s}.id_block')"));
    let block = block.fetch_one(&mut connection).await.map_err(failed)?;
    let now = sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("SELECT {NOW}")));
    let now_ms = now.fetch_one(&mut connection).await.map_err(failed)?;
    drop(connection.close().await);
    let (control, commands) = mpsc::unbounded_channel();
    let last_timeout = Arc::new(LastTimeout::default());
    let pools = (pool(&options, "calls", &last_timeout), pool(&options, "transactions", &last_timeout));
    let shared = Arc::new(Shared::new(name, options, sql, block, now_ms, control, last_timeout));
    writer::spawn(&shared)?;
    tokio::spawn(control::run(Arc::downgrade(&shared), commands));
    tokio::spawn(control::listen(Arc::downgrade(&shared)));
    let runtime = tokio::runtime::Handle::current();
    let here = Here::look();
    Ok(PostgresStore { shared, calls: pools.0, transactions: pools.1, runtime, here })
}

/// A server that starts, or has no room just now, is waited for.
async fn first_connection(options: &OpenOptions, name: &str) -> Result<(PgConnection, Duration), StoreError> {
    use crate::store::failure::Kind;
    let begun = Instant::now();
    loop {
        let error = match connect(&options.connect, "opening").await {
            Ok(connection) => return Ok((connection, begun.elapsed())),
            Err(error) => error,
        };
        let starting = matches!(super::failure::kind(&error), Kind::Busy)
            || error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("57P03"));
        if !starting || begun.elapsed() >= options.busy_timeout {
            return Err(cannot_open(name, error));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// No call was made yet: any error means that the database cannot be opened.
fn cannot_open(name: &str, error: sqlx::Error) -> StoreError {
    let message = match &error {
        sqlx::Error::Tls(_) if cfg!(not(feature = "tls")) => {
            format!("{error}: build with abide's feature `tls`")
        }
        error => error.to_string(),
    };
    StoreError::Open { path: name.to_owned(), message, source: Some(Arc::new(error)) }
}

async fn check_server(connection: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let query = "SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
        pg_is_in_recovery()";
    let (number, version, standby): (i32, String, bool) =
        sqlx::query_as(query).fetch_one(connection).await.map_err(|error| cannot_open(name, error))?;
    if number.unsigned_abs() < OLDEST {
        let message = format!("the server is Postgres {version}, abide needs 13 or later");
        return Err(StoreError::Open { path: name.to_owned(), message, source: None });
    }
    match standby {
        true => Err(StoreError::ReadOnly { path: name.to_owned() }),
        false => Ok(()),
    }
}

/// A pooler that gives each transaction another session (PgBouncer's transaction mode) breaks what leans on a
/// session: prepared statements, advisory locks, LISTEN. Asked of two connections: what one sets for its
/// session, the other does not see, and the first still does while the other holds a session in a
/// transaction.
async fn check_pooler(options: &OpenOptions, first: &mut PgConnection, name: &str) -> Result<(), StoreError> {
    let failed = |error| cannot_open(name, error);
    let word = uuid::Uuid::now_v7().simple().to_string();
    let set = format!("SET abide.session = '{word}'");
    first.execute(sqlx::raw_sql(AssertSqlSafe(set))).await.map_err(failed)?;
    let mut second = named(&options.connect, "opening").connect().await.map_err(failed)?;
    let seen = async |connection: &mut PgConnection| -> Result<Option<String>, sqlx::Error> {
        use sqlx::Row;
        // By the simple protocol, which poolers of any age pass on.
        let row =
            connection.fetch_one(sqlx::raw_sql("SELECT current_setting('abide.session', true)")).await?;
        row.try_get(0)
    };
    second.execute(sqlx::raw_sql("BEGIN")).await.map_err(failed)?;
    let (there, here) = (seen(&mut second).await.map_err(failed)?, seen(first).await.map_err(failed)?);
    drop(second.close().await);
    match there.as_deref() == Some(&word) || here.as_deref() != Some(&word) {
        true => Err(StoreError::Pooler { path: name.to_owned() }),
        false => Ok(()),
    }
}

fn thread_failed(name: &str, error: std::io::Error) -> StoreError {
    StoreError::Open {
        path: name.to_owned(),
        message: format!("a thread of the store did not start: {error}"),
        source: Some(Arc::new(error)),
    }
}

/// What is still to be applied to this database: version and text of each migration, oldest first. Changes nothing.
pub(crate) async fn pending_migrations(
    url: &str,
    options: OpenOptions,
) -> Result<Vec<(i64, String)>, StoreError> {
    let (options, name) = parse(url, options)?;
    let (mut connection, _) = first_connection(&options, &name).await?;
    check_server(&mut connection, &name).await?;
    let pending = migrate::pending(&name, &Sql::new(&options.schema), &mut connection).await;
    drop(connection.close().await);
    pending
}
