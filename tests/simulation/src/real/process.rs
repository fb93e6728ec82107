//! A process of the real simulation: a tokio runtime of its own in this one, with an open database and workers. It can be
//! killed: its runtime goes, its writer writes no more, and nobody says goodbye.

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

/// What differs between processes besides their fates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    pub(crate) cache_bytes: usize,
    pub(crate) slots: usize,
    /// Which release of the workflow it runs.
    pub(crate) release: Release,
    pub(crate) away: bool,
}

/// How a process is asked to leave.
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
    /// Opens it without workers and without faults: for those who only look.
    pub(crate) async fn look(&self) -> abide::Result<Abide> {
        Abide::builder(&self.url).schema(&self.schema).max_connections(3).open().await
    }

    fn is_on_a_server(&self) -> bool {
        self.folder.is_none()
    }

    /// The user's table in it.
    fn table(&self) -> Table {
        Table(if self.is_on_a_server() { format!("{}.written", self.schema) } else { "written".to_owned() })
    }

    /// Makes the user's table, once the database is there.
    pub(crate) async fn prepare(&self) -> Result<(), sqlx::Error> {
        let create = self.table().create();
        match self.is_on_a_server() {
            true => PgConnection::connect(&self.url).await?.execute(create).await.map(drop),
            false => SqliteConnection::connect(&self.url).await?.execute(create).await.map(drop),
        }
    }

    /// How often each activity has written there, by run and number.
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
    /// Starts one, and waits until its workers run.
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

    /// Becomes true when it is gone.
    pub(crate) fn gone(&self) -> watch::Receiver<bool> {
        self.gone.subscribe()
    }

    /// Kills it. `at_once`: its death shows by its locks, as that of an operating system's process would; else only its
    /// leases tell, when they run out. On a server always these: the process's connections live on.
    pub(crate) fn kill(self, at_once: bool) {
        self.fate.die();
        self.gone.send_replace(true);
        self.runtime.shutdown_background();
        if at_once {
            // Whoever still has the old file open holds a lock that nobody can see.
            for path in self.locks.iter().filter(|path| path.exists()) {
                let replaced = std::fs::remove_file(path).and_then(|()| std::fs::write(path, ""));
                replaced.expect("a lock file can be replaced");
            }
        }
    }

    /// Lets its workers end, and it with them.
    pub(crate) async fn leave(self, gracefully: bool) {
        let (left, has_left) = oneshot::channel();
        let order = if gracefully { Leave::Gracefully(left) } else { Leave::Hastily(left) };
        if self.orders.send(order).await.is_ok() {
            // One whose writer has died ends without a word.
            let _ = tokio::time::timeout(Duration::from_secs(20), has_left).await;
        }
        self.gone.send_replace(true);
        self.runtime.shutdown_background();
    }
}

/// What runs in it.
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
                // A worker that its database's trouble has stopped has said so before.
                let _ = worker.shutdown().await;
            }
            let _ = abide.close().await;
            let _ = left.send(());
        }
        Some(Leave::Hastily(left)) => {
            drop(workers);
            // Their supervisors say goodbye.
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
