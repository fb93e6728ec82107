//! [`Abide`]: one open database, from which clients and workers are made.
//!
//! Holds the store and the process's hub, and nothing else; both are shared by everything made from it. Opening it
//! starts no worker and claims nothing.

use crate::Metrics;
use crate::client::Looks;
use crate::error::Result;
use crate::host::Host;
use crate::hub::Hub;
use crate::location::{Database, Location};
use crate::store::{FaultHook, Store};
use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// An open database. Cheap to clone; all clones share one writer and one view of this process's workers, so open a
/// database once in a process.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> abide::Result<()> {
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// use abide::{Abide, ListFilter};
///
/// let abide = Abide::open(folder.path().join("orders.db")).await?; // or a URL: "postgres://app@db/orders"
/// let page = abide.client().list(ListFilter::new()).await?;
/// assert!(page.executions.is_empty());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Abide {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    host: Host,
    looks: Looks,
}

/// An open database that this does not keep open.
pub(crate) struct WeakAbide(Weak<Inner>);

impl WeakAbide {
    pub(crate) fn upgrade(&self) -> Option<Abide> {
        self.0.upgrade().map(|inner| Abide { inner })
    }
}

impl Abide {
    /// Opens the database at `location`:
    /// - a [`Path`](std::path::Path) or `PathBuf`, or the URL `sqlite://path/to/file.db` (relative to the working directory) or
    ///   `sqlite:///absolute/path.db`: an SQLite file, which is made where it is not there;
    /// - `postgres://user:password@host:5432/database`: any number of processes on any number of machines, whose tables are
    ///   made in a schema of their own.
    ///
    /// # Errors
    /// `AB0501` and what follows it, each saying what is wrong with the path, the file or the disk.
    pub async fn open(location: impl Into<Location>) -> Result<Self> {
        Self::builder(location).open().await
    }

    /// Like [`Abide::open`], with options.
    pub fn builder(location: impl Into<Location>) -> AbideBuilder {
        AbideBuilder {
            location: location.into(),
            busy_timeout: Duration::from_secs(10),
            schema: "abide".to_owned(),
            connections: 10,
            migrate: true,
            attempt_limit: Duration::from_secs(5),
            fault: None,
            skew_ms: None,
        }
    }

    /// What was written by this process so far.
    pub fn metrics(&self) -> Metrics {
        self.inner.store.metrics()
    }

    /// Writes what is queued and lets go of the database's files. Everything made from this fails afterwards. Shut the
    /// workers down first. Dropping every clone does the same without waiting.
    pub async fn close(&self) -> Result<()> {
        Ok(self.inner.store.close().await?)
    }

    pub(crate) fn of(store: Arc<dyn Store>, host: Host) -> Self {
        let inner = Inner { store, hub: Arc::default(), host, looks: Looks::default() };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Refuses what would wait for the transaction that it is called from: AB0609.
    pub(crate) fn outside(&self) -> Result<()> {
        Ok(self.inner.store.outside()?)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.inner.hub
    }

    pub(crate) fn downgrade(&self) -> WeakAbide {
        WeakAbide(Arc::downgrade(&self.inner))
    }

    pub(crate) fn looks(&self) -> &Looks {
        &self.inner.looks
    }

    pub(crate) fn host(&self) -> &Host {
        &self.inner.host
    }
}

impl fmt::Debug for Abide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abide").finish_non_exhaustive()
    }
}

/// Options of [`Abide::builder`].
#[must_use = "nothing is opened until `.open().await`"]
pub struct AbideBuilder {
    location: Location,
    busy_timeout: Duration,
    schema: String,
    connections: u32,
    migrate: bool,
    attempt_limit: Duration,
    fault: Option<FaultHook>,
    skew_ms: Option<Arc<AtomicI64>>,
}

/// A change of the database's schema that is still to be applied: see [`AbideBuilder::pending_migrations`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// The version that the schema has afterwards, from 1.
    pub version: i64,
    /// Its statements, to be run as they stand in one transaction.
    pub sql: String,
}

impl AbideBuilder {
    /// How long a client's call waits while another program holds the database's lock, before it fails with `AB0503` (Postgres: the
    /// lock of a row, `AB0515`, or a server that does not answer, `AB0517`).
    /// A workflow's progress waits without end, and with it a start or a message that a worker of this process takes.
    /// Default: 10 s.
    pub fn busy_timeout(mut self, wait: Duration) -> Self {
        self.busy_timeout = wait;
        self
    }

    /// Postgres: the schema of abide's tables, 1 to 50 of the characters `a-z`, `0-9` and `_`. Two schemas are two worlds: nothing of
    /// one is seen in the other. Default: `abide`. SQLite has no schemas, and ignores it.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Postgres: how many connections this process opens at most for what its clients and workers ask. Beside them it opens two that
    /// write, one that renews leases, one that listens, and as many again for transactional activities while they run. Default: 10.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Postgres: whether opening brings the tables up to date. With `false` a database that is behind is refused with `AB0514`:
    /// for roles that may not change tables. Default: true.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Postgres: the changes that opening would make to the tables, oldest first, and makes none: for those who review and apply
    /// them by hand. Empty where nothing is to be done, and for SQLite, whose file migrates itself.
    ///
    /// ```no_run
    /// # async fn print() -> abide::Result<()> {
    /// for migration in abide::Abide::builder("postgres://dba@db/orders").pending_migrations().await? {
    ///     println!("BEGIN;\n{}COMMIT;", migration.sql);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `AB0501` where the database cannot be reached, `AB0502` where it is a standby, `AB0505` and `AB0506` where the schema is another program's or a newer one.
    pub async fn pending_migrations(self) -> Result<Vec<Migration>> {
        match self.location.database()? {
            #[cfg(feature = "postgres")]
            Database::Postgres(url) => {
                let pending = crate::store::postgres::pending_migrations(&url, self.postgres()).await?;
                Ok(pending.into_iter().map(|(version, sql)| Migration { version, sql }).collect())
            }
            #[cfg(feature = "sqlite")]
            Database::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// For tests: how long the transaction of an activity may last on SQLite.
    #[doc(hidden)]
    pub fn attempt_limit(mut self, limit: Duration) -> Self {
        self.attempt_limit = limit;
        self
    }

    /// For tests: a hook that makes commits fail.
    #[doc(hidden)]
    pub fn fault(mut self, hook: FaultHook) -> Self {
        self.fault = Some(hook);
        self
    }

    /// For tests: what is added to the wall clock, in ms, as if somebody had set it.
    #[doc(hidden)]
    pub fn clock_skew_ms(mut self, skew_ms: Arc<AtomicI64>) -> Self {
        self.skew_ms = Some(skew_ms);
        self
    }

    /// Opens the database.
    pub async fn open(self) -> Result<Abide> {
        let store = open_store(self).await?;
        Ok(Abide::of(store, Host::default()))
    }
}

async fn open_store(options: AbideBuilder) -> Result<Arc<dyn Store>> {
    match options.location.database()? {
        #[cfg(feature = "sqlite")]
        Database::Sqlite(file) => {
            use crate::store::sqlite;
            let AbideBuilder { busy_timeout, attempt_limit, fault, skew_ms, .. } = options;
            let default = sqlite::OpenOptions::default();
            let chosen = sqlite::OpenOptions { busy_timeout, attempt_limit, fault, skew_ms, ..default };
            Ok(sqlite::open(&file, chosen).await?)
        }
        #[cfg(feature = "postgres")]
        Database::Postgres(url) => Ok(crate::store::postgres::open(&url, options.postgres()).await?),
    }
}

#[cfg(feature = "postgres")]
impl AbideBuilder {
    fn postgres(self) -> crate::store::postgres::OpenOptions {
        let Self { busy_timeout, schema, connections, migrate, fault, .. } = self;
        let default = crate::store::postgres::OpenOptions::default();
        crate::store::postgres::OpenOptions { busy_timeout, schema, connections, migrate, fault, ..default }
    }
}
