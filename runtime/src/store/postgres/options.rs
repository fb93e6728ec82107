//! How a database is opened.

use crate::store::FaultHook;
use crate::store::owner::LEASE;
use sqlx::postgres::PgConnectOptions;
use std::time::Duration;

/// How a database is opened.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// How long a call waits for a connection or a lock. Default: 10 s. Appends wait without limit.
    pub(crate) busy_timeout: Duration,
    /// How long a worker's lease lasts from its last renewal. Default: [`LEASE`].
    pub(crate) lease: Duration,
    /// The schema of the tables. Default: `abide`.
    pub(crate) schema: String,
    /// Connections for what clients and workers ask, beside two that write, one that renews and one that
    /// listens. As many again at most for transactional activities. Default: 10.
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
