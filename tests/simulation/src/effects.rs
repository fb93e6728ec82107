//! The activities of the simulation, and the log that records every begin and end of an attempt.
//!
//! The log stands for the outside world: all processes of a simulation share it, and no fault affects it. It
//! must never use a clock: its order is the order in which things happened.

use crate::act::{Act, Deed, How};
use crate::items::item;
use crate::program::SAID;
use abide::activity::context;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The task queue of the workflows.
pub(crate) const HOME: &str = "home";
/// The task queue of activities that run elsewhere.
pub(crate) const AWAY: &str = "away";
/// A task queue that no worker serves.
pub(crate) const NOWHERE: &str = "nowhere";

/// What happened in the outside world, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Entry>>>);

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The virtual or real process in which it happened.
    pub(crate) process: u32,
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    /// The number of the event that scheduled the activity.
    pub(crate) activity: u64,
    pub(crate) attempt: u32,
    pub(crate) label: u32,
    pub(crate) note: Option<String>,
    pub(crate) what: What,
}

/// The event that a line records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Begin,
    Return(u64),
    /// It returned an error.
    Fail,
    /// Its token stopped it, and it returned an error.
    Stop,
    /// Its future was dropped: a time limit, or the process.
    Drop,
}

impl Log {
    /// A copy of the current entries.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// How many lines it has.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn add(&self, entry: Entry) {
        self.lock().push(entry);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, workflow_id, run_id, activity, attempt, label, note, what } = self;
        let run = run_id.get(run_id.len().saturating_sub(6)..).unwrap_or(run_id);
        write!(f, "process {process}: {workflow_id} (run ..{run}) activity {activity}, label {label}")?;
        note.iter().try_for_each(|note| write!(f, " `{note}`"))?;
        write!(f, ", attempt {attempt}: ")?;
        match what {
            What::Begin => f.write_str("begins"),
            What::Return(value) => write!(f, "returns {value}"),
            What::Fail => f.write_str("fails"),
            What::Stop => f.write_str("stops, as it was asked to"),
            What::Drop => f.write_str("is dropped"),
        }
    }
}

/// The activity's error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) label: u32,
    pub(crate) attempt: u32,
    pub(crate) retryable: bool,
    /// The activity was asked to stop.
    pub(crate) stopped: bool,
}

impl Refused {
    fn is_retryable(&self) -> bool {
        self.retryable
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "activity {} refused in attempt {}", self.label, self.attempt)
    }
}

impl std::error::Error for Refused {}

/// Builds a worker for activities that run elsewhere.
pub(crate) fn away(abide: &Abide, effects: Effects) -> abide::WorkerBuilder {
    abide.worker(AWAY).activities(effects)
}

/// The activities of one process.
#[derive(Clone)]
pub(crate) struct Effects {
    log: Log,
    process: u32,
}

impl Effects {
    pub(crate) fn new(log: &Log, process: u32) -> Self {
        Self { log: log.clone(), process }
    }
}

#[activity]
impl Effects {
    /// Does what its input says, and records it in the log.
    #[activity(retry_if = Refused::is_retryable)]
    pub(crate) async fn act(&self, told: Act) -> Result<u64, Refused> {
        let running = Running::begin(self, &told);
        let deed = told.deed(running.entry.attempt);
        let asked = context();
        let busy = async {
            let pause = publish_all(&running.entry, &told, deed).await;
            match deed.how {
                How::Hang => std::future::pending().await,
                _ => tokio::time::sleep(Duration::from_millis(pause)).await,
            }
        };
        let stopped = tokio::select! {
            biased;
            () = busy => false,
            () = asked.cancelled(), if deed.heeds || deed.how == How::Hang => true,
        };
        match deed.how {
            _ if stopped => Err(running.fail(What::Stop, true)),
            How::Return => Ok(running.finish(told.result())),
            How::Retry => Err(running.fail(What::Fail, true)),
            How::Refuse | How::Hang => Err(running.fail(What::Fail, false)),
        }
    }
}

impl Effects {
    /// Does the same in a transaction. What it writes there must exist exactly if it has returned.
    async fn within(
        &self,
        told: Act,
        written: impl AsyncFnOnce(String, i64) -> Result<(), sqlx::Error>,
    ) -> Result<u64, Refused> {
        let running = Running::begin(self, &told);
        let deed = told.deed(running.entry.attempt);
        let activity = i64::try_from(running.entry.activity).unwrap_or(i64::MAX);
        let wrote = written(running.entry.run_id.clone(), activity).await;
        tokio::time::sleep(Duration::from_millis(deed.ms)).await;
        match deed.how {
            _ if wrote.is_err() => Err(running.fail(What::Fail, true)),
            How::Return => Ok(running.finish(told.result())),
            How::Retry => Err(running.fail(What::Fail, true)),
            How::Refuse | How::Hang => Err(running.fail(What::Fail, false)),
        }
    }
}

/// Publishes the items of an attempt, and takes as long as the deed meanwhile. Returns how much of its time is left, in
/// ms.
async fn publish_all(of: &Entry, told: &Act, deed: Deed) -> u64 {
    let pause = deed.ms.checked_div(told.items).unwrap_or(0);
    for index in 0..told.items {
        let item = item(of.activity, of.attempt, index);
        // A refused attempt is no longer its run's: its result is refused, too.
        if context().publish(SAID, &item).await.is_err() {
            return deed.ms - pause * index;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    deed.ms - pause * told.items
}

/// The user's table, into which transactional activities write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(pub(crate) String);

impl Table {
    /// Creates the table.
    pub(crate) fn create(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("CREATE TABLE {} (run_id TEXT, activity BIGINT)", self.0))
    }

    /// Inserts a row.
    fn insert(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("INSERT INTO {} VALUES ($1, $2)", self.0))
    }

    /// Selects all rows.
    pub(crate) fn select(&self) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("SELECT run_id, activity FROM {}", self.0))
    }
}

/// The transactional activity of a process on SQLite.
pub(crate) struct OnSqlite(pub(crate) Effects, pub(crate) Table);

#[activity]
impl OnSqlite {
    #[activity(name = "within", transactional, retry_if = Refused::is_retryable)]
    pub(crate) async fn act(&self, tx: &mut SqliteConnection, told: Act) -> Result<u64, Refused> {
        let written = async |run: String, activity: i64| {
            sqlx::query(self.1.insert()).bind(run).bind(activity).execute(tx).await.map(drop)
        };
        self.0.within(told, written).await
    }
}

/// The same on Postgres.
pub(crate) struct OnPostgres(pub(crate) Effects, pub(crate) Table);

#[activity]
impl OnPostgres {
    #[activity(name = "within", transactional, retry_if = Refused::is_retryable)]
    pub(crate) async fn act(&self, tx: &mut PgConnection, told: Act) -> Result<u64, Refused> {
        let written = async |run: String, activity: i64| {
            sqlx::query(self.1.insert()).bind(run).bind(activity).execute(tx).await.map(drop)
        };
        self.0.within(told, written).await
    }
}

/// A running attempt. If it is dropped before its end, it records that.
struct Running {
    log: Log,
    entry: Entry,
    ended: bool,
}

impl Running {
    fn begin(effects: &Effects, act: &Act) -> Self {
        let context = context();
        let key = context.idempotency_key();
        let (run_id, activity) = key.rsplit_once('/').unwrap_or((&key, "0"));
        let entry = Entry {
            process: effects.process,
            workflow_id: context.workflow_id().to_owned(),
            run_id: run_id.to_owned(),
            activity: activity.parse().unwrap_or(0),
            attempt: context.attempt(),
            label: act.label,
            note: act.note.clone(),
            what: What::Begin,
        };
        effects.log.add(entry.clone());
        Self { log: effects.log.clone(), entry, ended: false }
    }

    fn end(&mut self, what: What) {
        self.ended = true;
        self.log.add(Entry { what, ..self.entry.clone() });
    }

    fn finish(mut self, value: u64) -> u64 {
        self.end(What::Return(value));
        value
    }

    fn fail(mut self, what: What, retryable: bool) -> Refused {
        self.end(what);
        let Entry { label, attempt, .. } = self.entry;
        Refused { label, attempt, retryable, stopped: what == What::Stop }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.end(What::Drop);
        }
    }
}
