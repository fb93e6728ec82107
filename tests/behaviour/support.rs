//! A database of its own for each test, and activities that count what they do.

use abide::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A database in a folder that goes with it.
pub struct Db {
    pub abide: Abide,
    /// Removed when this is dropped.
    _folder: tempfile::TempDir,
}

impl Db {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let abide = Self::open(&folder).await;
        Self { abide, _folder: folder }
    }

    pub async fn open(folder: &tempfile::TempDir) -> Abide {
        Abide::open(Self::url(folder)).await.expect("the database opens")
    }

    /// The database of a folder: a file in it, or a database on the program's own server whose URL the folder keeps.
    pub fn url(folder: &tempfile::TempDir) -> String {
        if !crate::ON_POSTGRES {
            return format!("sqlite://{}", folder.path().join("abide.db").display());
        }
        let kept = folder.path().join("url");
        std::fs::read_to_string(&kept).unwrap_or_else(|_| {
            let url = cluster::shared_database();
            std::fs::write(kept, &url).expect("the folder can be written");
            url
        })
    }

    pub fn client(&self) -> Client {
        self.abide.client()
    }
}

/// What ran, in order: shared by the activities of one test.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn add(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn counts(&self) -> HashMap<String, usize> {
        self.lines().into_iter().fold(HashMap::new(), |mut counts, line| {
            *counts.entry(line).or_default() += 1;
            counts
        })
    }
}

/// Activities that note each of their runs.
pub struct Steps(pub Log);

#[activity]
impl Steps {
    /// Notes it and gives the number back.
    pub async fn note(&self, n: u32) -> u32 {
        self.0.add(format!("note {n}"));
        n
    }

    /// Notes it after a while: later numbers end first.
    pub async fn late(&self, n: u32, of: u32) -> u32 {
        tokio::time::sleep(Duration::from_millis(u64::from((of - n) % 17))).await;
        self.0.add(format!("late {n}"));
        n
    }

    /// Always fails, for good.
    #[activity(retry(max_attempts = 1))]
    pub async fn refuse(&self, name: String) -> Result<(), Failure> {
        self.0.add(format!("refuse {name}"));
        Err(Failure::new(format!("{name} refused")).non_retryable())
    }

    /// Undoes something.
    pub async fn undo(&self, name: String) -> Result<(), Failure> {
        self.0.add(format!("undo {name}"));
        match name.starts_with("bad") {
            true => Err(Failure::new(format!("{name} cannot be undone")).non_retryable()),
            false => Ok(()),
        }
    }

    /// Runs until it is asked to stop.
    pub async fn endless(&self, name: String) -> String {
        self.0.add(format!("begin {name}"));
        abide::activity::context().cancelled().await;
        self.0.add(format!("stopped {name}"));
        name
    }
}

/// Waits until `condition` holds; ten seconds are an error of the test, however slow the machine is.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
