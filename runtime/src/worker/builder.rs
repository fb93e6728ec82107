//! Building a worker: what it runs, and its limits.

use super::registry::Registry;
use super::supervisor::Worker;
use crate::Abide;
use crate::error::Result;
use abide_core::{Activities, ActivityFn, WorkflowFn};
use std::sync::Arc;
use std::time::Duration;

/// The limits of a worker.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) slots: usize,
    pub(super) threads: usize,
    pub(super) cache_bytes: usize,
    pub(super) grace: Duration,
    pub(super) build: String,
    pub(super) max_crashes: u32,
    pub(super) shows_values: bool,
    /// Each turn is replayed and compared.
    #[cfg(feature = "testing")]
    pub(super) checks_replay: bool,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            slots: 100,
            threads: cores.clamp(1, 4),
            cache_bytes: 256 * 1024 * 1024,
            grace: Duration::from_secs(10),
            build: build_of_this_program(),
            max_crashes: 5,
            shows_values: false,
            #[cfg(feature = "testing")]
            checks_replay: false,
        }
    }
}

/// Length and time of the program's file: differs between builds, and is the same for all processes of one.
fn build_of_this_program() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let stamp = file.map(|file| {
        let changed = file.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        format!(
            "{}-{:x}-{:x}",
            env!("CARGO_PKG_VERSION"),
            file.len(),
            changed.unwrap_or_default().as_millis()
        )
    });
    stamp.unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned())
}

/// A worker to be: give it workflows and activities, then [`start`](WorkerBuilder::start) it.
#[must_use = "a worker does nothing until it is started"]
pub struct WorkerBuilder {
    abide: Abide,
    queue: String,
    registry: Registry,
    options: Options,
}

impl Abide {
    /// A worker of this task queue, to be given its workflows and activities and then started.
    pub fn worker(&self, queue: impl AsRef<str>) -> WorkerBuilder {
        WorkerBuilder {
            abide: self.clone(),
            queue: queue.as_ref().to_owned(),
            registry: Registry::default(),
            options: Options::default(),
        }
    }
}

impl WorkerBuilder {
    /// Adds a workflow: the function itself, `OrderWorkflow::run` or `nightly_report`.
    pub fn workflow<A, F: WorkflowFn<A>>(mut self, _run: F) -> Self {
        self.registry.workflow::<F::Def>();
        self
    }

    /// Adds an activity that is a free function: the function itself, `charge`. A worker runs the activities that it has
    /// for its own workflows, and for any workflow that sends them to its task queue; one that has activities only
    /// is all that such a queue needs:
    ///
    /// ```
    /// # use abide::prelude::*;
    /// #[activity(task_queue = "gpu")]
    /// async fn transcode(clip: String) -> String {
    ///     clip
    /// }
    /// # async fn start(abide: Abide) -> abide::Result<()> {
    /// let worker = abide.worker("gpu").activity(transcode).start().await?;
    /// # worker.shutdown().await
    /// # }
    /// ```
    pub fn activity<A, F: ActivityFn<A>>(mut self, _function: F) -> Self {
        self.registry.activity::<F::Def>(Arc::new(()));
        self
    }

    /// Adds the activities that are methods of `host`, which they share: connections, keys, clients.
    pub fn activities<H: Activities>(mut self, host: H) -> Self {
        self.registry.activities(host);
        self
    }

    /// Adds what a module has: a function that registers its workflows and activities, so that the list stands beside them.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// mod orders {
    ///     use abide::prelude::*;
    ///     #[workflow]
    ///     pub async fn order(id: u32) -> Result<u32, CallError> {
    ///         pack(id).await
    ///     }
    ///     #[activity]
    ///     pub async fn pack(id: u32) -> u32 {
    ///         id
    ///     }
    ///     /// All that this module has.
    ///     pub fn steps(worker: WorkerBuilder) -> WorkerBuilder {
    ///         worker.workflow(order).activity(pack)
    ///     }
    /// }
    /// # async fn start(abide: Abide) -> abide::Result<()> {
    /// let worker = abide.worker("orders").include(orders::steps).start().await?;
    /// # worker.shutdown().await
    /// # }
    /// ```
    pub fn include(self, steps: impl FnOnce(Self) -> Self) -> Self {
        steps(self)
    }

    /// As a test's environment wants it: each turn checked, and live state dropped after each, so that the next one begins
    /// with a replay.
    #[cfg(feature = "testing")]
    pub(crate) fn for_test(mut self, checks_replay: bool) -> Self {
        if checks_replay {
            self.options.cache_bytes = 0;
        }
        self.options.threads = 1;
        // What a test works with is nobody's data, and whoever reads its failures wants to see it.
        self.options.shows_values = true;
        self.checks_replay(checks_replay)
    }

    /// For tests: whether each turn is replayed on a fresh thread and compared.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn checks_replay(mut self, check: bool) -> Self {
        self.options.checks_replay = check;
        self
    }

    /// Registers a mock in the place of its activity; the activity itself may be registered as well, as a method of a
    /// host must be, and is not called then. See [`testing::mock`](crate::testing::mock).
    #[cfg(feature = "testing")]
    pub fn mock<D: abide_core::ActivityDef>(mut self, mock: &crate::testing::Mock<D>) -> Self {
        self.registry.mock(mock.entry());
        self
    }

    /// How many activities may run at once. What is over waits for a slot, first come, first served. An activity that waits for
    /// the result of a workflow holds its slot meanwhile, which that workflow's own activities may need: AB0624 warns where all slots
    /// wait. Default: 100.
    pub fn max_concurrent_activities(mut self, slots: usize) -> Self {
        self.options.slots = slots.max(1);
        self
    }

    /// Whether the reasons of suspensions and failed attempts show the values that they are about: recorded inputs and results, and what
    /// the code passes now, the first 200 characters of each. They go to the log, to [`Description::suspension`](crate::Description) and
    /// `WorkflowError::Suspended`, to the database, and (of an activity's input, AB0604) to the history. So everybody who reads these reads
    /// the values, and they stay there when the option is taken away again.
    ///
    /// Default: false. Values may be personal data; the reasons then tell the names of fields, positions, kinds and lengths. The log,
    /// suspensions and the engine's own failures hold no recorded value. What your code says stays as it said it: texts of its errors and
    /// panics, its own `tracing` events. Test environments show values.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[workflow]
    /// # async fn order(id: u32) -> u32 { id }
    /// # async fn start(abide: Abide) -> abide::Result<()> {
    /// let staging = std::env::var_os("STAGING").is_some();
    /// let worker = abide.worker("orders").workflow(order).show_values(staging).start().await?;
    /// # worker.shutdown().await
    /// # }
    /// ```
    pub fn show_values(mut self, show: bool) -> Self {
        self.options.shows_values = show;
        self
    }

    /// How many threads run workflow code. Default: the number of cores, at most 4.
    pub fn workflow_threads(mut self, threads: usize) -> Self {
        self.options.threads = threads.clamp(1, 64);
        self
    }

    /// The memory for live executions, in bytes; beyond it the least recently used are dropped and replayed when
    /// they are next needed. An estimate: history bytes and a constant each. Default: 256 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// How long [`Worker::shutdown`] lets running activities finish before it asks them to stop. Default: 10 s.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Names the build of this program: an execution that one build had to suspend is tried once by each other build.
    /// Default: made of the program file's length and time.
    pub fn build_id(mut self, build: impl Into<String>) -> Self {
        self.options.build = build.into();
        self
    }

    /// After how many worker deaths in a row, without progress between, an execution is suspended (`AB0205`) as the
    /// cause of them. Default: 5.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.options.max_crashes = crashes.max(1);
        self
    }

    /// Starts the worker, waits until `stop` is ready, and shuts it down gracefully: a worker's whole `main`. `stop` is any future, whatever
    /// it gives: `tokio::signal::ctrl_c()`, a channel, a cancellation token. Dropped before its end, it drops the worker.
    ///
    /// ```no_run
    /// # use abide::prelude::*;
    /// # #[workflow]
    /// # async fn order() {}
    /// #[tokio::main]
    /// async fn main() -> abide::Result<()> {
    ///     let abide = Abide::open("sqlite://orders.db").await?;
    ///     abide.worker("orders").workflow(order).run_until(tokio::signal::ctrl_c()).await
    /// }
    /// ```
    ///
    /// A process manager stops a service with SIGTERM, Ctrl-C is SIGINT:
    ///
    /// ```
    /// # #[cfg(unix)]
    /// async fn asked_to_stop() {
    ///     use tokio::signal::unix::{SignalKind, signal};
    ///     let mut terminate = signal(SignalKind::terminate()).expect("a process has signals");
    ///     tokio::select! {
    ///         _ = tokio::signal::ctrl_c() => {}
    ///         _ = terminate.recv() => {}
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`WorkerBuilder::start`], and `AB0607` where the worker had to stop by itself.
    pub async fn run_until<F: Future>(self, stop: F) -> Result<()> {
        let mut worker = self.start().await?;
        let stopped = tokio::select! {
            biased;
            _ = stop => None,
            stopped = worker.stopped() => Some(stopped),
        };
        match stopped {
            Some(stopped) => stopped,
            None => worker.shutdown().await,
        }
    }

    /// Starts the worker: it registers, and begins to claim and run what is due.
    ///
    /// # Errors
    /// `AB0601` where nothing is registered or a name is registered twice; `AB0611` where a transactional activity takes a
    /// connection of another kind of database; `AB05xx` where the database cannot be
    /// written.
    #[cfg_attr(
        not(feature = "testing"),
        expect(unused_mut, reason = "a test's process changes the registry")
    )]
    pub async fn start(mut self) -> Result<Worker> {
        #[cfg(feature = "testing")]
        if let Some(test) = self.abide.host().test().cloned() {
            self.registry.run_through(&test);
        }
        self.registry.check(&self.queue, self.abide.store().database())?;
        let host = self.abide.host().clone();
        let (registry, options) = (Arc::new(self.registry), Arc::new(self.options));
        host.inside(Worker::start(self.abide, self.queue, registry, options)).await
    }
}
