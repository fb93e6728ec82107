//! A database of each kind for the suite. Only this file knows which store it is.

use super::Process;
use crate::store::*;
use abide_core::Incarnation;
use std::path::PathBuf;
#[cfg(feature = "testing")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A database that is removed at the end.
pub(in crate::store) enum Lab {
    Sqlite(PathBuf),
    /// On the test process's cluster, which is removed as a whole.
    Postgres(String),
    /// In memory; every call answers at once.
    #[cfg(feature = "testing")]
    Memory(Arc<memory::Server>),
    /// In memory; each call takes time and holds its locks meanwhile.
    #[cfg(feature = "testing")]
    Slow(Arc<memory::Server>),
}

/// Each part of each call takes a little.
#[cfg(feature = "testing")]
struct Slowly;

#[cfg(feature = "testing")]
impl memory::Conditions for Slowly {
    fn course(&self, _: &memory::Call) -> memory::Course {
        let little = Duration::from_millis(1);
        memory::Course {
            before: little,
            between: little,
            held: little,
            after: little,
            ..memory::Course::default()
        }
    }

    fn notify_after(&self) -> Option<Duration> {
        Some(Duration::from_millis(5))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Self::Sqlite(folder) = self {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// What tests change of a store's options.
#[derive(Clone, Default)]
pub(in crate::store) struct Settings {
    pub(in crate::store) lease: Option<Duration>,
    pub(in crate::store) fault: Option<FaultHook>,
}

impl Lab {
    pub(in crate::store) fn sqlite() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("abide-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self::Sqlite(folder)
    }

    pub(in crate::store) fn postgres() -> Self {
        Self::Postgres(cluster::shared_database())
    }

    #[cfg(feature = "testing")]
    pub(in crate::store) fn memory() -> Self {
        #[cfg(feature = "mutants")]
        crate::store::postgres::permutations::mutants::let_live_by_environment();
        Self::Memory(memory::Server::new(memory::ServerOptions::new(Arc::new(wall_clock))))
    }

    #[cfg(feature = "testing")]
    pub(in crate::store) fn slow() -> Self {
        let options = memory::ServerOptions::new(Arc::new(wall_clock));
        Self::Slow(memory::Server::new(memory::ServerOptions {
            conditions: Some(Arc::new(Slowly)),
            runtime: Some(tokio::runtime::Handle::current()),
            ..options
        }))
    }

    /// Another of the same kind.
    pub(in crate::store) fn another(&self) -> Self {
        match self {
            Self::Sqlite(_) => Self::sqlite(),
            Self::Postgres(_) => Self::postgres(),
            #[cfg(feature = "testing")]
            Self::Memory(_) => Self::memory(),
            #[cfg(feature = "testing")]
            Self::Slow(_) => Self::slow(),
        }
    }

    /// Whether commits are so fast that no appends gather meanwhile.
    pub(in crate::store) fn answers_at_once(&self) -> bool {
        #[cfg(feature = "testing")]
        return matches!(self, Self::Memory(_));
        #[cfg(not(feature = "testing"))]
        return false;
    }

    /// SQLite's file.
    pub(in crate::store) fn file(&self) -> PathBuf {
        let Self::Sqlite(folder) = self else { panic!("it is no file") };
        folder.join("test.db")
    }

    pub(in crate::store) fn url(&self) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite://{}", self.file().display()),
            Self::Postgres(url) => url.clone(),
            #[cfg(feature = "testing")]
            Self::Memory(_) | Self::Slow(_) => panic!("it has no SQL"),
        }
    }

    /// One more process on this database.
    pub(in crate::store) async fn process(&self) -> Process {
        self.process_with(Settings::default()).await
    }

    pub(in crate::store) async fn process_with(&self, settings: Settings) -> Process {
        let Settings { lease, fault } = settings;
        let lease = lease.unwrap_or(LEASE);
        let store = match self {
            Self::Sqlite(_) => {
                let options = sqlite::OpenOptions { lease, fault, ..sqlite::OpenOptions::default() };
                sqlite::open(&self.file(), options).await
            }
            Self::Postgres(_) => {
                let options = postgres::OpenOptions { lease, fault, ..postgres::OpenOptions::default() };
                postgres::open(&self.url(), options).await
            }
            #[cfg(feature = "testing")]
            Self::Memory(server) | Self::Slow(server) => {
                let options = memory::ConnectOptions { lease, fault, machine: None, own_clock: true };
                Ok(server.connect(options) as Arc<dyn Store>)
            }
        };
        Process::of(store.unwrap()).await
    }

    /// Waits until `observer` notices that `dead` is dead.
    pub(in crate::store) async fn found_dead(&self, observer: &Process, dead: Incarnation) {
        for _ in 0..100 {
            if observer.store.dead().await.unwrap().dead.iter().any(|found| found.incarnation == dead) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the death of {dead} is not noticed");
    }
}

#[cfg(feature = "testing")]
fn wall_clock() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("it is later than 1970");
    since.as_millis() as i64
}
