//! What the victim runs while updates, children and streams are in flight. As everywhere here, what a workflow comes to
//! follows from what it was told.

use crate::workflows::{Work, sequence};
use abide::prelude::*;
use futures::future::join_all;

/// How many numbers a run of [`Chained`] takes before the next one goes on.
const NUMBERS_OF_A_RUN: usize = 7;

/// Notes each number that it is told, after a step. The answer is its place among all.
#[derive(Default)]
pub(crate) struct Tally {
    noted: Vec<u64>,
    closed: bool,
}

#[workflow]
impl Tally {
    #[run]
    pub(crate) async fn run(&mut self) -> Vec<u64> {
        workflow::until!(self.closed).await;
        workflow::handlers_finished().await;
        self.noted.clone()
    }

    #[update]
    pub(crate) async fn note(&mut self, n: u64) -> Result<usize, Failure> {
        Work::step(n, 3).await?;
        self.noted.push(n);
        workflow::publish("noted", &n)?;
        Ok(self.noted.len())
    }

    #[signal]
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

/// Notes each number at once, in a chain of runs. The answer is its place among all.
pub(crate) struct Chained {
    noted: Vec<u64>,
    here: usize,
    closed: bool,
}

#[workflow]
impl Chained {
    #[init]
    fn new(noted: Vec<u64>) -> Self {
        Self { noted, here: 0, closed: false }
    }

    #[run]
    pub(crate) async fn run(&mut self, _noted: Vec<u64>) -> Vec<u64> {
        workflow::until!(self.closed || self.here >= NUMBERS_OF_A_RUN).await;
        if self.closed {
            return self.noted.clone();
        }
        workflow::continue_as_new(Self::run(self.noted.clone())).await
    }

    #[update]
    pub(crate) fn note(&mut self, n: u64) -> usize {
        self.here += 1;
        self.noted.push(n);
        self.noted.len()
    }

    #[signal]
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }
}

/// Children all at once, and one beside them by its handle; gives what each came to.
#[workflow]
pub(crate) async fn family(n: u64, many: u64) -> Result<Vec<u64>, Failure> {
    let beside = sequence(10 * n + many, 2, 3).id(format!("beside-{n}")).start().await?;
    let all = join_all((0..many).map(|k| sequence(10 * n + k, 2, 3))).await;
    let mut all = all.into_iter().collect::<Result<Vec<u64>, _>>()?;
    all.push(beside.result().await?);
    Ok(all)
}

/// Publishes by itself, with a step after each item, and then by an activity.
#[workflow]
pub(crate) async fn feed(n: u64, items: u64) -> Result<u64, Failure> {
    for k in 0..items {
        workflow::publish("steps", &k)?;
        Work::step(10 * n + k, 3).await?;
    }
    Ok(Work::speak(n, items, 20).await?)
}

/// The worker's builder with all of them.
pub(crate) fn workflows(worker: WorkerBuilder) -> WorkerBuilder {
    worker.workflow(Tally::run).workflow(Chained::run).workflow(family).workflow(feed)
}
