//! What the victim runs: small workflows whose results depend on their arguments alone, and activities that write
//! down each of their runs.

use crate::ledger::Ledger;
use abide::prelude::*;
use std::path::Path;
use std::time::Duration;

/// The task queue of everything here.
pub(crate) const QUEUE: &str = "crash";

/// The task queue of activities that are sent away.
pub(crate) const FARM: &str = "farm";

/// The activities. Each adds `start <name> <key> <attempt> <n>` and, before it returns, `done <key> <attempt>`.
pub(crate) struct Work {
    ledger: Ledger,
}

impl Work {
    /// Writes to the ledger at `path`.
    pub(crate) fn new(path: &Path) -> Self {
        Self { ledger: Ledger::open(path).expect("the ledger opens") }
    }

    fn begin(&self, n: u64) {
        let run = abide::activity::context();
        let (name, key, attempt) = (run.activity_type(), run.idempotency_key(), run.attempt());
        self.ledger.add(&format!("start {name} {key} {attempt} {n}"));
    }

    fn end(&self) {
        let run = abide::activity::context();
        self.ledger.add(&format!("done {} {}", run.idempotency_key(), run.attempt()));
    }
}

#[activity]
impl Work {
    /// Takes `ms`, and gives twice `n`.
    pub(crate) async fn step(&self, n: u64, ms: u64) -> u64 {
        self.begin(n);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.end();
        2 * n
    }

    /// The same, with a single attempt.
    #[activity(retry(max_attempts = 1))]
    pub(crate) async fn once(&self, n: u64, ms: u64) -> u64 {
        self.begin(n);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.end();
        2 * n
    }

    /// Fails in its first attempt; has two, the second one a second later.
    #[activity(retry(max_attempts = 2, initial_interval = "1s"))]
    pub(crate) async fn second(&self, n: u64) -> Result<u64, Failure> {
        self.begin(n);
        self.end();
        match abide::activity::context().attempt() {
            1 => Err(Failure::new("not yet")),
            _ => Ok(2 * n),
        }
    }

    /// Fails in its first attempts.
    #[activity(retry(initial_interval = "20ms", max_interval = "40ms"))]
    pub(crate) async fn flaky(&self, n: u64, failures: u32) -> Result<u64, Failure> {
        self.begin(n);
        let attempt = abide::activity::context().attempt();
        self.end();
        match attempt <= failures {
            true => Err(Failure::new("not yet")),
            false => Ok(2 * n),
        }
    }

    /// Publishes the numbers below `items`, one each `ms`; gives how many.
    pub(crate) async fn speak(&self, n: u64, items: u64, ms: u64) -> Result<u64, Failure> {
        self.begin(n);
        for k in 0..items {
            abide::activity::context().publish("words", &k).await?;
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        self.end();
        Ok(items)
    }

    /// Writes its token down, takes `ms`, and is completed later.
    #[activity(complete_later)]
    pub(crate) async fn asked(&self, n: u64, ms: u64) -> u64 {
        self.begin(n);
        let run = abide::activity::context();
        self.ledger.add(&format!("token {n} {}", run.completion_token()));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.end();
        activity::complete_later().await
    }

    /// Always fails, for good.
    pub(crate) async fn refuse(&self, n: u64) -> Result<(), Failure> {
        self.begin(n);
        self.end();
        Err(Failure::new(format!("{n} is refused")).non_retryable())
    }

    /// Runs until it is asked to stop, and is not done then.
    pub(crate) async fn hang(&self, n: u64) -> Result<(), Failure> {
        self.begin(n);
        abide::activity::context().cancelled().await;
        Err(Failure::new("stopped"))
    }

    /// Takes `ms`, and then the whole process with it.
    pub(crate) async fn abort(&self, n: u64, ms: u64) {
        self.begin(n);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        std::process::abort();
    }
}

/// Steps one after the other; gives their sum.
#[workflow]
pub(crate) async fn sequence(n: u64, steps: u64, ms: u64) -> Result<u64, Failure> {
    let mut sum = 0;
    for k in 0..steps {
        sum += Work::step(10 * n + k, ms).await?;
    }
    Ok(sum)
}

/// A step in each of its runs; gives the sum of all.
#[workflow]
pub(crate) async fn rounds(n: u64, left: u64, sum: u64) -> Result<u64, Failure> {
    let sum = sum + Work::step(10 * n + left, 5).await?;
    match left {
        1 => Ok(sum),
        _ => workflow::continue_as_new(rounds(n, left - 1, sum)).await,
    }
}

/// A step in each of its attempts, the last of which succeeds.
#[workflow(retry(initial_interval = "50ms", backoff_coefficient = 1.0))]
pub(crate) async fn persistent(n: u64, attempts: u64) -> Result<u64, Failure> {
    let attempt = u64::from(workflow::info().attempt);
    let done = Work::step(10 * n + attempt, 5).await?;
    if attempt < attempts { Err(Failure::new(format!("attempt {attempt}"))) } else { Ok(done) }
}

/// Steps all at once; gives their results in order.
#[workflow]
pub(crate) async fn fan(n: u64, width: u64, ms: u64) -> Result<Vec<u64>, Failure> {
    let all = (0..width).map(|k| Work::step(10 * n + k, ms));
    futures::future::join_all(all).await.into_iter().map(|result| Ok(result?)).collect()
}

/// Timers, and an activity that loses against one.
#[workflow]
pub(crate) async fn naps(n: u64) -> Result<u64, Failure> {
    workflow::sleep(Duration::from_millis(30)).await;
    let late = workflow::timeout(Duration::from_millis(40), Work::hang(10 * n)).await;
    if late.is_ok() {
        return Err(Failure::new("an endless activity ended"));
    }
    workflow::sleep(Duration::from_millis(10)).await;
    Ok(Work::step(10 * n + 1, 3).await?)
}

/// Takes steps and undoes them, since the last one is refused.
#[workflow]
pub(crate) async fn trip(n: u64, legs: u64) -> Result<(), Failure> {
    let mut saga = workflow::saga();
    for k in 0..legs {
        Work::step(10 * n + k, 4).await?;
        saga.on_failure(Work::step(10 * n + 9 - k, 4));
    }
    Ok(Work::refuse(10 * n + legs).await?)
}

/// An activity that needs three attempts.
#[workflow]
pub(crate) async fn stubborn(n: u64) -> Result<u64, Failure> {
    Ok(Work::flaky(10 * n, 2).await?)
}

/// An activity that works the second time, which is the last; gives how it ended.
#[workflow]
pub(crate) async fn twice(n: u64) -> String {
    match Work::second(10 * n).await {
        Ok(result) => format!("ok {result}"),
        Err(error) => error.to_string(),
    }
}

/// An activity that must not be tried twice; gives how it ended.
#[workflow]
pub(crate) async fn single(n: u64, ms: u64) -> String {
    ending(Work::once(10 * n, ms).await)
}

/// The same, in another process: one that serves [`FARM`].
#[workflow]
pub(crate) async fn far(n: u64, ms: u64) -> String {
    ending(Work::once(10 * n, ms).task_queue(FARM).await)
}

/// The same, here, and completed by a token.
#[workflow]
pub(crate) async fn asks(n: u64, ms: u64) -> String {
    ending(Work::asked(10 * n, ms).await)
}

fn ending(result: Result<u64, CallError>) -> String {
    match result {
        Ok(result) => format!("ok {result}"),
        Err(CallError::WorkerLost) => "worker lost".to_owned(),
        Err(other) => other.to_string(),
    }
}

/// An activity that must not be tried twice, and a signal whose handler panics while there is a certain file.
#[derive(Default)]
pub(crate) struct Fragile {
    touched: u32,
}

#[workflow]
impl Fragile {
    #[run]
    pub(crate) async fn run(&mut self, n: u64, ms: u64) -> String {
        ending(Work::once(10 * n, ms).await)
    }

    #[signal]
    pub(crate) fn touch(&mut self, bug: String) {
        let broken = workflow::allow!("the bug under test", Path::new(&bug).exists());
        assert!(!broken, "a bug that a later build mends");
        self.touched += 1;
    }
}

/// Timers alone; gives how many.
#[workflow]
pub(crate) async fn ticks(count: u64, ms: u64) -> u64 {
    for _ in 0..count {
        workflow::sleep(Duration::from_millis(ms)).await;
    }
    count
}

/// An activity that ends the process.
#[workflow]
pub(crate) async fn culprit(n: u64, ms: u64) -> Result<(), Failure> {
    Ok(Work::abort(10 * n, ms).await?)
}

/// An activity that ends the process, beside a branch that goes on all the time.
#[workflow]
pub(crate) async fn two_faced(n: u64, ms: u64) -> Result<(), Failure> {
    let busy = async {
        for k in 0..1_000_000 {
            workflow::sleep(Duration::from_millis(20)).await;
            if k % 2 == 0 {
                Work::step(10 * n + 1, 1).await?;
            }
        }
        Ok::<(), CallError>(())
    };
    let (ended, ticked) = workflow::join!(Work::abort(10 * n, ms), busy);
    ticked?;
    Ok(ended?)
}

/// Waits for letters, and takes a step for each.
#[derive(Default)]
pub(crate) struct Letters {
    unread: Vec<u64>,
    read: Vec<u64>,
}

#[workflow]
impl Letters {
    #[run]
    pub(crate) async fn run(&mut self, wanted: usize) -> Result<Vec<u64>, Failure> {
        while self.read.len() < wanted {
            workflow::until!(!self.unread.is_empty()).await;
            let letter = self.unread.remove(0);
            let answer = Work::step(letter, 4).await?;
            self.read.push(answer);
        }
        let mut read = self.read.clone();
        read.sort_unstable();
        Ok(read)
    }

    #[signal]
    pub(crate) fn letter(&mut self, n: u64) {
        self.unread.push(n);
    }

    #[query]
    pub(crate) fn read(&self) -> usize {
        self.read.len()
    }
}

/// Sends letters to another workflow, one after the other; gives how many were sent.
#[workflow]
pub(crate) async fn writer(to: String, many: u64, ms: u64) -> u64 {
    let letters = workflow::handle::<Letters>(to);
    let mut sent = 0;
    for n in 0..many {
        sent += u64::from(letters.letter(n).await.is_ok());
        workflow::sleep(Duration::from_millis(ms)).await;
    }
    sent
}

/// A worker of all of them.
pub(crate) fn worker(abide: &Abide, ledger: &Path) -> abide::WorkerBuilder {
    let steps =
        abide.worker(QUEUE).workflow(sequence).workflow(fan).workflow(naps).workflow(trip).workflow(far);
    let rest = steps
        .workflow(stubborn)
        .workflow(single)
        .workflow(ticks)
        .workflow(culprit)
        .workflow(two_faced)
        .workflow(twice)
        .workflow(rounds)
        .workflow(persistent)
        .workflow(Letters::run)
        .workflow(writer)
        .workflow(asks)
        .workflow(Fragile::run);
    let items = (crate::items::items, crate::items::Items::new(ledger));
    rest.include(crate::mixed::workflows).activities(Work::new(ledger)).workflow(items.0).activities(items.1)
}
