//! Connections, their settings, and how long their answers are waited for.

use super::options::OpenOptions;
use super::timeout::LastTimeout;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor, PgConnection, PgPool};
use std::sync::Arc;
use std::time::Duration;

/// Answer timeout, though the server ends each statement after 30 s: it is gone, or the way to it. The
/// connection is closed and the outcome unknown, to be read back (PROTOCOL 8): an answer that was on its way
/// is met there, or by the journal's key.
pub(super) const NO_ANSWER: Duration = Duration::from_secs(45);

/// The settings of every connection. Ours to set, whatever the server's defaults are: what is acknowledged
/// must be on the disk (on those of the standbys too, where the server waits for them), statements must see
/// what others have committed, and a client that is stopped in the middle of a transaction must not hold its
/// locks for long. The keepalives make the server notice a client that is gone.
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

/// Connect timeout. A dead host never refuses a connection.
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

/// The error of a server that does not answer.
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
