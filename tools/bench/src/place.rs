//! Where the databases of a run are: files in a folder, or schemas on a Postgres server.

use crate::AnyResult;
use abide::prelude::*;
use clap::ValueEnum;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The store that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A file.
    Sqlite,
    /// A server: `DATABASE_URL`, or a throw-away cluster with full durability.
    Postgres,
}

impl StoreKind {
    /// Its name in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The databases of one run. They are removed when this is dropped.
pub(crate) enum Place {
    /// Files in this folder.
    Folder(tempfile::TempDir),
    /// Schemas in this database. With the cluster, if this run started it.
    Server { url: String, cluster: Option<cluster::Cluster> },
}

impl Place {
    /// `dir`: the folder for SQLite's files, or for the cluster.
    pub(crate) fn new(store: StoreKind, dir: &Path) -> AnyResult<Self> {
        std::fs::create_dir_all(dir)?;
        if store == StoreKind::Sqlite {
            return Ok(Self::Folder(tempfile::tempdir_in(dir)?));
        }
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Ok(Self::Server { url, cluster: None });
        }
        let cluster =
            cluster::Cluster::start(cluster::Options { durable: true, ..cluster::Options::default() })?;
        Ok(Self::Server { url: cluster.create_database()?, cluster: Some(cluster) })
    }

    /// Opens a new database for one side of a measurement.
    pub(crate) async fn open(&self, side: &str) -> AnyResult<Abide> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bench_{}_{}_{side}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(match self {
            Self::Folder(folder) => Abide::open(folder.path().join(name)).await?,
            Self::Server { url, .. } => Abide::builder(url).schema(name).open().await?,
        })
    }

    /// The URL and the schema of a database for several processes.
    pub(crate) fn address(&self, name: &str) -> (String, String) {
        let schema = format!("bench_{}_{name}", std::process::id());
        match self {
            Self::Folder(folder) => (format!("sqlite://{}", folder.path().join(name).display()), schema),
            Self::Server { url, .. } => (url.clone(), schema),
        }
    }

    /// Runs a statement past the engine, on our own cluster.
    pub(crate) fn sql(&self, statement: &str) -> AnyResult<cluster::Rows> {
        match self {
            Self::Server { url, cluster: Some(cluster) } => {
                let database = url.rsplit('/').next().unwrap_or_default();
                Ok(cluster.sql(database, statement)?)
            }
            _ => Err("this needs a throw-away cluster: unset DATABASE_URL".into()),
        }
    }

    /// The server's URL.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Folder(_) => None,
            Self::Server { url, .. } => Some(url),
        }
    }
}
