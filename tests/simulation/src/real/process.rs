//! A process of the real simulation: its own tokio runtime within this process, with an open database and
//! workers. When it is killed, its runtime is dropped, its writer writes no more, and its workers do not
//! unregister.

use super::fate::Fate;
use crate::effects::{Effects, Log, OnPostgres, OnSqlite, Table, away};
use crate::revision::Release;
use crate::{interpret, revised};
use abide::Abide;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};

/// Where a run's database is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) schema: String,
    /// SQLite's folder, where the lock files of its workers are.
    pub(crate) folder: Option<PathBuf>,
}

/// The settings that differ between processes, besides their faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) cache_bytes: usize,
    pub(crate) slots: usize,
    /// The release of the workflow that it runs.
    pub(crate) release: Release,
    pub(crate) away: bool,
}

/// How a process is told to stop.
#[derive(Debug)]
pub(crate) enum Leave {
    /// Its workers shut down.
    Gracefully(oneshot::Sender<()>),
    /// Its workers are dropped.
    Hastily(oneshot::Sender<()>),
}

/// A living process.
pub(crate) struct Process {
    pub(crate) number: u32,
    pub(crate) abide: Abide,
    pub(crate) fate: Arc<Fate>,
    runtime: Runtime,
    orders: mpsc::Sender<Leave>,
    gone: watch::Sender<bool>,
    /// The lock files of its workers.
    locks: Vec<PathBuf>,
}

impl Place {
    /// Opens the database without workers and without faults, for reading.
    pub(crate) async fn look(&self) -> abide::Result<Abide> {
        Abide::builder(&self.url).schema(&self.schema).max_connections(3).open().await
    }

    fn is_on_a_server(&self) -> bool {
        self.folder.is_none()
    }

    /// The user's table in the database.
    fn table(&self) -> Table {
        Table(if self.is_on_a_server() { format!("{}.written", self.schema) } else { "written".to_owned() })
    }

    /// Creates the user's table. The database must exist.
    pub(crate) async fn prepare(&self) -> Result<(), sqlx::Error> {
        let create = self.table().create();
        match self.is_on_a_server() {
            true => PgConnection::connect(&self.url).await?.execute(create).await.map(drop),
            false => SqliteConnection::connect(&self.url).await?.execute(create).await.map(drop),
        }
    }

    /// How many rows each activity has written to it, by run and activity.
    pub(crate) async fn written(&self) -> Result<BTreeMap<(String, u64), u64>, sqlx::Error> {
        let rows: Vec<(String, i64)> = match self.is_on_a_server() {
            true => {
                sqlx::query_as(self.table().select())
                    .fetch_all(&mut PgConnection::connect(&self.url).await?)
                    .await?
            }
            false => {
                sqlx::query_as(self.table().select())
                    .fetch_all(&mut SqliteConnection::connect(&self.url).await?)
                    .await?
            }
        };
        let mut all = BTreeMap::new();
        for (run, activity) in rows {
            *all.entry((run, u64::try_from(activity).unwrap_or(0))).or_default() += 1;
        }
        Ok(all)
    }

    fn locks(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "lock"))
            .collect()
    }
}

impl Process {
    /// Starts a process, and waits until its workers run.
    pub(crate) async fn start(number: u32, place: &Place, log: &Log, build: Build, fate: Arc<Fate>) -> Self {
        let before = place.locks();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(format!("process-{number}"))
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let (orders, taken) = mpsc::channel(1);
        let (up, is_up) = oneshot::channel();
        let effects = Effects::new(log, number);
        runtime.spawn(serve(place.clone(), fate.hook(), build, effects, up, taken));
        let abide = is_up.await.expect("a process comes up");
        let locks = place.locks().into_iter().filter(|path| !before.contains(path)).collect();
        let gone = watch::Sender::new(false);
        Self { number, abide, fate, runtime, orders, gone, locks }
    }

    /// Becomes true when the process is gone.
    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Kills it. `at_once`: its locks show its death, as for a real process that dies. Otherwise only its
    /// leases show it, when they expire. On a server it is always the latter, because the process's
    /// connections stay open.
    pub(crate) fn kill(self, at_once: bool) {
        self.fate.die();
        self.gone.send_replace(true);
        self.runtime.shutdown_background();
        if at_once {
            // A process that still has the old file open holds a lock that is no longer visible.
            for path in self.locks.iter().filter(|path| path.exists()) {
                let replaced = std::fs::remove_file(path).and_then(|()| std::fs::write(path, ""));
                replaced.expect("a lock file can be replaced");
            }
        }
    }

    /// Stops its workers, then the process.
    pub(crate) async fn leave(self, gracefully: bool) {
        let (left, has_left) = oneshot::channel();
        let order = if gracefully { Leave::Gracefully(left) } else { Leave::Hastily(left) };
        if self.orders.send(order).await.is_ok() {
            // A process whose writer has died sends no answer.
            let _ = tokio::time::timeout(Duration::from_secs(20), has_left).await;
        }
        self.gone.send_replace(true);
        self.runtime.shutdown_background();
    }
}

/// Runs the process's workers.
async fn serve(
    place: Place,
    hook: abide::__private::FaultHook,
    build: Build,
    effects: Effects,
    up: oneshot::Sender<Abide>,
    mut orders: mpsc::Receiver<Leave>,
) {
    let (abide, workers) = loop {
        match begin(&place, hook.clone(), build, &effects).await {
            Ok(begun) => break begun,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    if up.send(abide.clone()).is_err() {
        return;
    }
    match orders.recv().await {
        Some(Leave::Gracefully(left)) => {
            for worker in workers {
                // A worker that a database error has stopped has already reported it.
                let _ = worker.shutdown().await;
            }
            let _ = abide.close().await;
            let _ = left.send(());
        }
        Some(Leave::Hastily(left)) => {
            drop(workers);
            // Leave time for their supervisors to unregister.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = left.send(());
        }
        None => {}
    }
}

async fn begin(
    place: &Place,
    hook: abide::__private::FaultHook,
    build: Build,
    effects: &Effects,
) -> abide::Result<(Abide, Vec<abide::Worker>)> {
    let builder = Abide::builder(&place.url).schema(&place.schema).max_connections(4).fault(hook);
    let abide = builder.open().await?;
    let mut workers = Vec::new();
    let home = match build.release {
        Release::First => interpret::home(&abide, effects.clone()),
        Release::Second => revised::home(&abide, effects.clone()),
    };
    let home = match place.is_on_a_server() {
        true => home.activities(OnPostgres(effects.clone(), place.table())),
        false => home.activities(OnSqlite(effects.clone(), place.table())),
    };
    let away = build.away.then(|| away(&abide, effects.clone()));
    for builder in std::iter::once(home).chain(away) {
        let builder = builder.cache_bytes(build.cache_bytes).max_concurrent_activities(build.slots);
        let builder = builder.workflow_threads(2).shutdown_grace(Duration::from_millis(300));
        workers.push(builder.start().await?);
    }
    Ok((abide, workers))
}
