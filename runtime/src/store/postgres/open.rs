//! Opening: from a URL to a store that works. Connections and their settings, and what they must not lead to.

use super::failure::store_error;
use super::process::Here;
use super::shared::Shared;
use super::sql::{NOW, Sql};
use super::timeout::LastTimeout;
use super::{PostgresStore, control, migrate, writer};
use crate::store::owner::LEASE;
use crate::store::{FaultHook, Store, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The oldest server that is supported.
const OLDEST: u32 = 130_000;

/// How a database is opened.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// How long a call waits for a connection or a lock. Default: 10 s. Appends wait without limit.
    pub(crate) busy_timeout: Duration,
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// The schema of the tables. Default: `abide`.
    pub(crate) schema: String,
    /// Connections for what clients and workers ask, beside two that write, one that renews and one that listens. As many
    /// again at most for transactional activities. Default: 10.
    pub(crate) connections: u32,
    /// Whether to bring the schema up to date. Default: true.
    pub(crate) migrate: bool,
    /// Faults for tests. Default: none.
    pub(crate) fault: Option<FaultHook>,
    /// Where to.
    pub(crate) connect: PgConnectOptions,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(10),
            lease: LEASE,
            schema: "abide".to_owned(),
            connections: 10,
            migrate: true,
            fault: None,
            connect: PgConnectOptions::new_without_pgpass(),
        }
    }
}

/// The settings of every connection. Ours to set, whatever the server's defaults are: what is acknowledged must be on the disk (on those of
/// the standbys too, where the server waits for them), statements must see what others have committed, and a client that is stopped in the middle of a
/// transaction must not hold its locks for long. The keepalives make the server notice a client that is gone.
const SETTINGS: &str = "
SET synchronous_commit = on;
SET default_transaction_isolation = 'read committed';
SET statement_timeout = '30s';
SET lock_timeout = '5s';
SET idle_in_transaction_session_timeout = '5s';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET client_min_messages = warning";

/// Connection options with a name that `pg_stat_activity` shows.
pub(super) fn named(options: &PgConnectOptions, role: &str) -> PgConnectOptions {
    options.clone().application_name(&format!("abide {role}"))
}

/// How long a connection may take to come about: a machine that is gone refuses nothing.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection of its own.
pub(super) async fn connect(options: &PgConnectOptions, role: &str) -> Result<PgConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = named(options, role).connect().await?;
        connection.execute(SETTINGS).await?;
        Ok(connection)
    };
    tokio::time::timeout(CONNECT, connecting).await.unwrap_or_else(|_| Err(no_answer(CONNECT)))
}

/// The error of a server that says nothing.
pub(super) fn no_answer(limit: Duration) -> sqlx::Error {
    let message = format!("the server did not answer for {} s", limit.as_secs());
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, message))
}

/// A pool; its connections are opened when they are needed.
pub(super) fn pool(options: &OpenOptions, role: &'static str, last_timeout: &Arc<LastTimeout>) -> PgPool {
    let last_timeout = Arc::clone(last_timeout);
    PgPoolOptions::new()
        .min_connections(0)
        .max_connections(options.connections.max(1))
        .acquire_timeout(options.busy_timeout)
        .idle_timeout(Duration::from_secs(60))
        .test_before_acquire(false)
        .before_acquire(move |_, meta| {
            let usable = last_timeout.is_older_than(meta.age);
            Box::pin(async move { Ok(usable) })
        })
        .after_connect(|connection, _| Box::pin(async move { connection.execute(SETTINGS).await.map(drop) }))
        .connect_lazy_with(named(&options.connect, role))
}

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

/// The store's thread: all that talks to the server but for the writers, so that user code that blocks its own runtime stalls nothing,
/// and a user's runtime that ends breaks nothing off. Ends when the writers have ended, and what they have put off.
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
    drop(ended.wait_for(|ended| *ended == writer::SLOTS).await);
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
    use crate::store::group::Kind;
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

/// Nobody has asked for anything yet: whatever it is, the database cannot be opened.
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

/// A pooler that gives each transaction another session (PgBouncer's transaction mode) breaks what leans on a session: prepared statements,
/// advisory locks, LISTEN. Asked of two connections: what one sets for its session, the other does not see, and the
/// first still does while the other holds a session in a transaction.
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
