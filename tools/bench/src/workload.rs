//! The workloads, for the engine and for the raw driver.

use crate::AnyResult;
use crate::load::Side;
use abide::__private::{Raw, Script};
use abide::history::JournalRow;
use abide::prelude::*;
use clap::ValueEnum;
use std::sync::Arc;
use std::time::Duration;

/// How many steps the second workload has.
const STEPS: u32 = 10;

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// An empty workflow.
    W1,
    /// Ten trivial activities, one after the other.
    W2,
}

impl Workload {
    /// Its name in the results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
        }
    }

    /// How many activities one workflow runs.
    pub(crate) fn steps(self) -> u32 {
        match self {
            Self::W1 => 0,
            Self::W2 => STEPS,
        }
    }
}

#[workflow]
async fn empty() {}

/// Sleeps for a month.
#[workflow]
pub(crate) async fn sleeper() {
    workflow::sleep(days(30)).await;
}

#[workflow]
pub(crate) async fn ten_steps() -> Result<u32, CallError> {
    let mut n = 0;
    for _ in 0..STEPS {
        n = step(n).await?;
    }
    Ok(n)
}

/// Enough steps for 10,000 events, a hundred at a time.
#[derive(Default)]
struct Long {
    done: u32,
}

#[workflow]
impl Long {
    #[run]
    async fn run(&mut self) -> Result<u32, CallError> {
        for _ in 0..50 {
            let steps = (0..100).map(|_| step(0));
            self.done += futures_util::future::try_join_all(steps).await?.len() as u32;
        }
        Ok(self.done)
    }

    #[query]
    fn done(&self) -> u32 {
        self.done
    }
}

/// Queries the long run. It is closed, so its history is replayed for the answer.
pub(crate) async fn ask(engine: &Engine) -> AnyResult<()> {
    let done = engine.client.handle::<Long>(LONG).done().await?;
    assert_eq!(done, 5_000, "a replay of the whole history answers");
    Ok(())
}

/// The long run's workflow id.
const LONG: &str = "long";

/// How long a step of [`slow_steps`] takes.
pub(crate) const SLOW_STEP: Duration = Duration::from_millis(100);

/// Steps that take a known time, one after the other.
#[workflow]
pub(crate) async fn slow_steps(steps: u32) -> Result<u32, CallError> {
    let mut n = 0;
    for _ in 0..steps {
        n = slow_step(n).await?;
    }
    Ok(n)
}

#[activity]
pub(crate) async fn slow_step(n: u32) -> u32 {
    tokio::time::sleep(SLOW_STEP).await;
    n + 1
}

#[activity]
pub(crate) async fn step(n: u32) -> u32 {
    n + 1
}

/// The engine's side: a worker and a client in one process.
#[derive(Clone)]
pub(crate) struct Engine {
    abide: Abide,
    client: Client,
    worker: Arc<Worker>,
    workload: Workload,
}

impl Engine {
    /// Starts a worker on its own database, with enough slots for all workflows in flight.
    pub(crate) async fn open(abide: Abide, workload: Workload, in_flight: usize) -> AnyResult<Self> {
        let worker = abide.worker("bench").workflow(empty).workflow(ten_steps).activity(step);
        let worker = worker.workflow(slow_steps).activity(slow_step).workflow(Long::run);
        let worker = worker.max_concurrent_activities(in_flight.max(100)).start().await?;
        Ok(Self { client: abide.client().task_queue("bench"), abide, worker: Arc::new(worker), workload })
    }

    /// The history of one workflow, which the raw driver writes.
    pub(crate) async fn history(&self) -> AnyResult<Vec<JournalRow>> {
        Ok(match self.workload {
            Workload::W1 => {
                let handle = self.client.start(empty()).await?;
                handle.result().await?;
                handle.history().await?
            }
            Workload::W2 => {
                let handle = self.client.start(ten_steps()).await?;
                handle.result().await?;
                handle.history().await?
            }
        })
    }

    /// How many commits this side has made.
    pub(crate) fn commits(&self) -> u64 {
        self.abide.metrics().commits
    }

    /// Runs the workflow that [`ask`] queries.
    pub(crate) async fn long_history(&self) -> AnyResult<()> {
        self.client.start(Long::run()).id(LONG).await?.result().await?;
        Ok(())
    }

    /// Shuts the worker down. The database stays open.
    pub(crate) async fn shutdown(self) -> AnyResult<()> {
        if let Ok(worker) = Arc::try_unwrap(self.worker) {
            worker.shutdown().await?;
        }
        Ok(())
    }

    /// Shuts the worker down and closes the database.
    pub(crate) async fn close(self) -> AnyResult<()> {
        let abide = self.abide.clone();
        self.shutdown().await?;
        Ok(abide.close().await?)
    }
}

impl Side for Engine {
    async fn one(&self) -> AnyResult<()> {
        match self.workload {
            Workload::W1 => self.client.start(empty()).await?.result().await?,
            Workload::W2 => {
                let n = self.client.start(ten_steps()).await?.result().await?;
                assert_eq!(n, STEPS, "the workflow's result is wrong");
            }
        }
        Ok(())
    }
}

/// The raw side: the same appends, without an engine.
#[derive(Clone)]
pub(crate) struct RawSide {
    abide: Abide,
    raw: Arc<Raw>,
    script: Arc<Script>,
}

impl RawSide {
    /// Registers the raw driver on its own database.
    pub(crate) async fn open(abide: Abide, name: &str, history: Vec<JournalRow>) -> AnyResult<Self> {
        let raw = Arc::new(Raw::of(&abide).await?);
        Ok(Self { abide, raw, script: Arc::new(Script::of(name, &history)?) })
    }

    /// Closes the database.
    pub(crate) async fn close(self) -> AnyResult<()> {
        drop(self.raw);
        Ok(self.abide.close().await?)
    }
}

impl Side for RawSide {
    async fn one(&self) -> AnyResult<()> {
        Ok(self.raw.run(&self.script).await?)
    }
}
