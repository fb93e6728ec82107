//! [`Abide`]: one open database, from which clients and workers are made.
//!
//! It holds the store and the process's hub, which everything made from it shares. Opening it starts no
//! worker and claims nothing.

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

/// An open database. Cheap to clone. All clones share one writer and one view of this process's workers, so
/// open a database once in a process.
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

/// A reference to an open database that does not keep it open.
pub(crate) struct WeakAbide(Weak<Inner>);

impl WeakAbide {
    pub(crate) fn upgrade(&self) -> Option<Abide> {
        self.0.upgrade().map(|inner| Abide { inner })
    }
}

impl Abide {
    /// Opens the database at `location`:
    /// - a [`Path`](std::path::Path) or `PathBuf`, or the URL `sqlite://path/to/file.db` (relative to the
    ///   working directory) or `sqlite:///absolute/path.db`: an SQLite file, which is created if it does not
    ///   exist;
    /// - `postgres://user:password@host:5432/database`: for any number of processes on any number of
    ///   machines. The tables are created in a schema of their own.
    ///
    /// # Errors
    /// `AB0501` and the following codes; each says what is wrong with the path, the file or the disk.
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

    /// What this process has written so far.
    pub fn metrics(&self) -> Metrics {
        self.inner.store.metrics()
    }

    /// Writes what is queued and closes the database. Everything made from this value fails afterwards. Shut
    /// the workers down first. Dropping every clone does the same without waiting.
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

    /// Refuses a call from inside a transaction, if the call would wait for that transaction: AB0609.
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

/// A change of the database's schema that is not yet applied: see [`AbideBuilder::pending_migrations`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migration {
    /// The version of the schema after the change, from 1.
    pub version: i64,
    /// The change's SQL statements. Run them unchanged, in one transaction.
    pub sql: String,
}

impl AbideBuilder {
    /// How long a client's call waits while another program holds the database's lock, before it fails with
    /// `AB0503`. On Postgres: while another session holds the lock of a row (`AB0515`), or the server does
    /// not answer (`AB0517`). A workflow's progress waits without limit, and so does a start or a message
    /// that a worker of this process accepts. Default: 10 s.
    pub fn busy_timeout(mut self, wait: Duration) -> Self {
        self.busy_timeout = wait;
        self
    }

    /// Postgres: the schema of abide's tables, 1 to 50 of the characters `a-z`, `0-9` and `_`. Two schemas
    /// are independent: neither sees anything of the other. SQLite has no schemas and ignores this. Default:
    /// `abide`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Postgres: the most connections that this process opens for the reads and calls of its clients and
    /// workers. Besides these, it opens two that write, one that renews leases, one that listens, and as many
    /// again for transactional activities while they run. Default: 10.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// Postgres: whether opening the database migrates its tables. With `false`, for roles that may not
    /// change tables, opening a database with an older schema fails with `AB0514`. Default: true.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Postgres: returns the changes that opening would make to the tables, oldest first, without making
    /// them. For those who review and apply changes by hand. Empty if there is nothing to change, and for
    /// SQLite, which migrates its file itself.
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
    /// `AB0501` if the database cannot be reached, `AB0502` if it is a standby, `AB0505` and `AB0506` if the
    /// schema belongs to another program or to a newer release.
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

    /// For tests: how long an activity's transaction may last on SQLite.
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

    /// For tests: milliseconds to add to the wall clock, as if its time had been set.
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
