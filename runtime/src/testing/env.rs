//! The test environment: a database in memory, a clock that jumps, and workers and clients as in production.

use super::process::{Process, ProcessOptions};
use crate::host::{GivenUp, Host, Pace};
use crate::store::Store;
use crate::store::memory::{ConnectOptions, Server, ServerOptions};
use crate::{Abide, Client, Location, Result, WorkerBuilder};
use jiff::Timestamp;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Default limit of an activity's failed attempts in a test.
const ATTEMPT_LIMIT: u32 = 1_000;

/// Default limit of the time for which an activity may hold a test's clock.
const STANDSTILL_LIMIT: Duration = Duration::from_secs(60);

/// The environment variable for a test's seed.
const SEED: &str = "ABIDE_SEED";

/// An environment for tests of workflows: in process, in memory, with its own clock.
///
/// Workers and clients are the real ones. These things differ:
/// * **Time** stands still. It passes only while the test waits for a result
///   ([`result()`](crate::HandleCore::result), a worker's shutdown) or calls [`TestEnv::sleep`]. Then the
///   clock jumps to the next timer, time limit or retry whenever nothing else can run, so a month takes no
///   longer than a minute. The clock stops again at the moment that the test waited for.
/// * **Activities** may be [mocked](super::mock). An activity that is not mocked runs as in production, in
///   real time on the test's own runtime, and the environment's time stands still meanwhile. But while its
///   body awaits the result of a workflow, time passes. An activity that holds the time for a minute of real
///   time fails the wait: AB0433.
/// * **Each turn is checked**: it is replayed from its recorded history, which is decoded again, on a fresh
///   thread. Live state is dropped after every turn. Code that behaves differently in a replay is suspended
///   (AB0201) with the position of the await, in the first test that runs it.
/// * **A wait that nothing can end** fails with AB0419, which names the awaits at which the workflow waits.
///   Time ends after 1,000 years.
/// * **A retry without end** fails with AB0431, when an activity has failed 1,000 times.
///
/// A failed test prints the seed of its environment. Set `ABIDE_SEED` to it to run with the same random
/// numbers and ids.
///
/// Time-skipping is Temporal's idea. Here one rule decides when time passes.
///
/// ```
/// use abide::prelude::*;
/// use abide::testing::TestEnv;
///
/// #[derive(Default)]
/// struct Trial { paid: bool }
///
/// #[workflow]
/// impl Trial {
///     #[run]
///     async fn run(&mut self) -> bool {
///         workflow::until!(self.paid).timeout(days(30)).await.is_ok()
///     }
///     #[signal]
///     fn pay(&mut self) { self.paid = true; }
/// }
///
/// #[tokio::main(flavor = "current_thread")] // in a test: #[tokio::test]
/// async fn main() -> Result<(), Failure> {
///     let env = TestEnv::start().await?;
///     let worker = env.worker("trials").workflow(Trial::run).start().await?;
///
///     let trial = env.client().start(Trial::run()).await?;
///     assert!(!trial.result().await?, "30 days have gone by");
///
///     let trial = env.client().start(Trial::run()).await?;
///     env.sleep(days(29)).await;
///     trial.pay().await?;
///     assert!(trial.result().await?);
///     worker.shutdown().await?;
///     Ok(())
/// }
/// ```
pub struct TestEnv {
    abide: Abide,
    seed: u64,
    /// `None` for a real database, in real time.
    process: Option<Arc<Process>>,
    checks_replay: bool,
}

impl TestEnv {
    /// Starts an environment in memory. Must be called on a tokio runtime of any kind; a plain
    /// `#[tokio::test]` is enough.
    ///
    /// # Errors
    /// `AB0417` if the thread of the environment cannot be started, or if `ABIDE_SEED` is not a number.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Like [`TestEnv::start`], with options.
    pub fn builder() -> TestEnvBuilder {
        TestEnvBuilder {
            database: None,
            seed: None,
            start_at: None,
            manual_time: false,
            checks_replay: true,
            attempt_limit: ATTEMPT_LIMIT,
            standstill_limit: STANDSTILL_LIMIT,
        }
    }

    /// Builds a worker of this task queue. Add workflows, activities and [mocks](super::mock), and start it.
    pub fn worker(&self, queue: impl AsRef<str>) -> WorkerBuilder {
        self.abide.worker(queue).for_test(self.checks_replay)
    }

    /// Returns a client, which starts workflows and communicates with them.
    pub fn client(&self) -> Client {
        self.abide.client()
    }

    /// The database, as [`Abide::open`] would return it.
    pub fn abide(&self) -> &Abide {
        &self.abide
    }

    /// The time of the environment's clock, which `workflow::now()` returns in a turn that begins now.
    pub fn now(&self) -> Timestamp {
        let now_ms = self.process.as_ref().map_or_else(|| self.abide.store().now_ms(), |p| p.now_ms());
        Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX)
    }

    /// Lets this much time pass. Time passes only when nothing else can happen. So after a millisecond of it,
    /// all work in progress has come to a point where it waits. On a real database this sleeps.
    ///
    /// # Panics
    /// With AB0431 if an activity is retried more often than [`attempt_limit`](TestEnvBuilder::attempt_limit)
    /// meanwhile; with AB0433 if one runs in real time for longer than
    /// [`standstill_limit`](TestEnvBuilder::standstill_limit).
    pub async fn sleep(&self, duration: Duration) {
        let Some(process) = &self.process else { return tokio::time::sleep(duration).await };
        match process.sleep(duration).await {
            Ok(()) | Err(GivenUp::NothingLeft) => {}
            Err(GivenUp::Endless(endless)) => panic!("{}", crate::Error::from(endless)),
            Err(GivenUp::Standstill(standstill)) => panic!("{}", crate::Error::from(standstill)),
        }
    }

    /// Runs the future after this much time, while the test waits for something else: for example, to send a
    /// signal on the third day. Await the returned handle for the future's output. If the handle is dropped,
    /// the future runs anyway.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # use abide::testing::TestEnv;
    /// # #[derive(Default)]
    /// # struct Order { approved: bool }
    /// # #[workflow]
    /// # impl Order {
    /// #     #[run]
    /// #     async fn run(&mut self) { workflow::until!(self.approved).await }
    /// #     #[signal]
    /// #     fn approve(&mut self, yes: bool) { self.approved = yes; }
    /// # }
    /// # async fn test(env: TestEnv, order: Handle<Order>) -> Result<(), Failure> {
    /// let approval = env.after(days(3), order.approve(true));
    /// order.result().await?;
    /// approval.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn after<F>(&self, duration: Duration, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match &self.process {
            Some(process) => process.after(duration, future),
            None => tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                future.await
            }),
        }
    }

    /// The seed of the environment's random numbers. It is printed when a test fails, and may be set by
    /// `ABIDE_SEED`.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::thread::panicking() && self.process.is_some() {
            eprintln!("the test environment's seed: run again with {SEED}={}", self.seed);
        }
        if let Some(process) = &self.process {
            process.end();
        }
    }
}

impl std::fmt::Debug for TestEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestEnv").field("seed", &self.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

/// Options of [`TestEnv::builder`].
#[must_use = "there is no environment until `.start().await`"]
#[derive(Debug)]
pub struct TestEnvBuilder {
    database: Option<Location>,
    seed: Option<u64>,
    start_at: Option<Timestamp>,
    manual_time: bool,
    checks_replay: bool,
    attempt_limit: u32,
    standstill_limit: Duration,
}

impl TestEnvBuilder {
    /// Runs the same test on a real database, an SQLite file or `postgres://..`, in real time. Default: in
    /// memory.
    pub fn database(mut self, location: impl Into<Location>) -> Self {
        self.database = Some(location.into());
        self
    }

    /// Sets the seed of random numbers and ids. Default: the environment variable `ABIDE_SEED`; without it a
    /// random seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the clock's first time. Default: the current time of the wall clock.
    pub fn start_at(mut self, time: Timestamp) -> Self {
        self.start_at = Some(time);
        self
    }

    /// Lets time pass only in [`TestEnv::sleep`], never while the test waits for a result. Use it to look at
    /// each step.
    pub fn manual_time(mut self) -> Self {
        self.manual_time = true;
        self
    }

    /// Whether each turn is replayed and compared. Default: true. Turn it off only for histories of many
    /// thousand events, whose replays take long in sum.
    pub fn replay_checks(mut self, check: bool) -> Self {
        self.checks_replay = check;
        self
    }

    /// How often an activity may fail and be retried before the waits of the test fail with AB0431. Default:
    /// 1,000. On a real database there is no limit.
    pub fn attempt_limit(mut self, attempts: u32) -> Self {
        self.attempt_limit = attempts.max(1);
        self
    }

    /// How long, by the wall clock, an activity that is not mocked may hold the environment's time before the
    /// waits of the test fail with AB0433. Default: 60 s. On a real database there is no limit.
    pub fn standstill_limit(mut self, limit: Duration) -> Self {
        self.standstill_limit = limit.max(Duration::from_millis(1));
        self
    }

    /// Starts the environment.
    ///
    /// # Errors
    /// `AB0417` if its thread cannot be started or `ABIDE_SEED` is not a number; on a real database those of
    /// [`Abide::open`].
    pub async fn start(self) -> Result<TestEnv> {
        let seed = self.seed.map_or_else(seed, Ok)?;
        let checks_replay = self.checks_replay;
        if let Some(location) = self.database {
            let abide = Abide::open(location).await?;
            return Ok(TestEnv { abide, seed, process: None, checks_replay });
        }
        let options = ProcessOptions {
            seed,
            start_ms: self.start_at.unwrap_or_else(Timestamp::now).as_millisecond(),
            waits_let_time_pass: !self.manual_time,
            attempt_limit: self.attempt_limit,
            standstill_limit: self.standstill_limit,
        };
        let process = Process::start(&options).map_err(|error| unusable(&error))?;
        let host = Host::of_test(Pace::NEVER, Arc::clone(&process) as _);
        let clock = Arc::clone(&process);
        let opened: Arc<OnceLock<Arc<dyn Store>>> = Arc::default();
        let (lease, open) = (host.pace.lease, Arc::clone(&opened));
        host.inside(async move {
            let server = Server::new(ServerOptions::new(Arc::new(move || clock.now_ms())));
            let _ = open
                .set(server.connect(ConnectOptions { lease, ..ConnectOptions::default() }) as Arc<dyn Store>);
        })
        .await;
        let store = opened.get().cloned().ok_or_else(|| unusable(&"its thread has ended"))?;
        Ok(TestEnv { abide: Abide::of(store, host), seed, process: Some(process), checks_replay })
    }
}

fn seed() -> Result<u64> {
    match std::env::var(SEED) {
        Ok(text) => text.trim().parse().map_err(|_| unusable(&format!("{SEED} is `{text}`, not a number"))),
        Err(_) => Ok(uuid::Uuid::now_v7().as_u64_pair().1),
    }
}

fn unusable(why: &dyn std::fmt::Display) -> crate::Error {
    crate::Error::NoTestEnvironment { message: why.to_string() }
}
