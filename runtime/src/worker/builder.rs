//! Builds a worker: its workflows, its activities and its limits.

use super::options::Options;
use super::registry::Registry;
use super::supervisor::Worker;
use crate::Abide;
use crate::error::Result;
use abide_core::{Activities, ActivityDef, ActivityFn, AnyActivityFn, Rate, WorkflowFn};
use std::sync::Arc;
use std::time::Duration;

/// Builds a worker: add workflows and activities, then [`start`](WorkerBuilder::start) it.
#[must_use = "a worker does nothing until it is started"]
pub struct WorkerBuilder {
    abide: Abide,
    queue: String,
    registry: Registry,
    options: Options,
}

impl Abide {
    /// Builds a worker of this task queue. Add its workflows and activities, then start it.
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
    /// Adds a workflow, given as the function itself: `OrderWorkflow::run` or `nightly_report`.
    pub fn workflow<A, F: WorkflowFn<A>>(mut self, _run: F) -> Self {
        self.registry.workflow::<F::Def>();
        self
    }

    /// Adds an activity that is a free function, given as the function itself: `charge`. A worker runs its
    /// activities for its own workflows, and for any workflow that sends them to its task queue. For such a
    /// queue, a worker that has only activities is enough:
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

    /// Adds the activities that are methods of `host`. They share the host: connections, keys, clients.
    pub fn activities<H: Activities>(mut self, host: H) -> Self {
        self.registry.activities(host);
        self
    }

    /// Calls a function that registers a module's workflows and activities, so that the list stands beside
    /// them in the module.
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

    /// Options of a test environment. With `checks_replay` each turn is checked, and live state is dropped
    /// after each turn, so that the next turn begins with a replay.
    #[cfg(feature = "testing")]
    pub(crate) fn for_test(mut self, checks_replay: bool) -> Self {
        if checks_replay {
            self.options.cache_bytes = 0;
        }
        self.options.threads = 1;
        // A test's values are not personal data, and its failures should show them.
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

    /// Registers a mock in place of its activity. The activity itself may be registered as well (methods of a
    /// host always are), and is then not called. See [`testing::mock`](crate::testing::mock).
    #[cfg(feature = "testing")]
    pub fn mock<D: abide_core::ActivityDef>(mut self, mock: &crate::testing::Mock<D>) -> Self {
        self.registry.mock(mock.entry());
        self.registry.limits_of::<D>();
        self
    }

    /// How many activities may run at once. Further activities wait for a slot, first come, first served. An
    /// activity that waits for the result of a workflow holds its slot meanwhile, and that workflow's own
    /// activities may need the slot: AB0624 warns when all slots wait. Default: 100.
    pub fn max_concurrent_activities(mut self, slots: usize) -> Self {
        self.options.slots = slots.max(1);
        self
    }

    /// How many attempts of one activity this worker runs at once, at least 1. Further ones wait, and hold up no other
    /// activity. It is a limit of this worker alone; one for all workers of a task queue is in the attribute,
    /// `#[activity(task_queue = "stripe", most = 5)]`. Default: as many as there are slots
    /// ([`max_concurrent_activities`](Self::max_concurrent_activities)).
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # use abide::Rate;
    /// # #[activity]
    /// # async fn resize(photo: String) -> String { photo }
    /// # #[activity]
    /// # async fn geocode(address: String) -> String { address }
    /// # async fn start(abide: Abide) -> abide::Result<()> {
    /// let worker = abide.worker("photos").activity(resize).activity(geocode);
    /// let worker = worker.limit(resize, 4).rate(geocode, Rate::per_second(10)).start().await?;
    /// # worker.shutdown().await
    /// # }
    /// ```
    pub fn limit<A, F: AnyActivityFn<A>>(mut self, _activity: F, most: usize) -> Self {
        self.options.own_limits.entry(F::Def::NAME).or_default().most = Some(most.max(1));
        self
    }

    /// How often this worker begins an attempt of one activity, with a burst of
    /// [`Rate::default_burst`](crate::Rate::default_burst). Further ones wait, and hold up no other activity. See
    /// [`limit`](Self::limit). Default: any number.
    pub fn rate<A, F: AnyActivityFn<A>>(mut self, _activity: F, rate: Rate) -> Self {
        self.options.own_limits.entry(F::Def::NAME).or_default().rate = Some(rate);
        self
    }

    /// Whether the reasons of suspensions and failed attempts show the values concerned: recorded inputs and
    /// results, and what the code passes now, the first 200 characters of each. The reasons go to the log, to
    /// [`Description::suspension`](crate::Description) and `WorkflowError::Suspended`, to the database, and
    /// (for an activity's input, AB0604) to the history. So everyone who reads these reads the values, and
    /// values that were written stay there when the option is turned off again.
    ///
    /// Default: false, because values may be personal data. The reasons then give names of fields, positions,
    /// kinds and lengths. The log, suspensions and the engine's own failures hold no recorded value. What
    /// your code writes is not changed: the texts of its errors and panics, and its own `tracing` events.
    /// Test environments show values.
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

    /// The memory for live executions, in bytes. Above it, the least recently used executions are dropped,
    /// and replayed when they are next needed. The memory is estimated: history bytes, and a constant for
    /// each execution. Default: 256 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.options.cache_bytes = bytes;
        self
    }

    /// How long [`Worker::shutdown`] lets running activities finish before it asks them to stop. Default:
    /// 10 s.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Sets the id of this program's build. If one build had to suspend an execution, each other build tries
    /// the execution once. Default: derived from the program file's length and modification time.
    pub fn build_id(mut self, build: impl Into<String>) -> Self {
        self.options.build = build.into();
        self
    }

    /// After how many deaths of its worker in a row, without progress in between, an execution is suspended
    /// as their cause (`AB0205`). Default: 5.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.options.max_crashes = crashes.max(1);
        self
    }

    /// Starts the worker, waits until `stop` is ready, and shuts the worker down gracefully: the whole `main`
    /// of a worker. `stop` is any future, whatever its output: `tokio::signal::ctrl_c()`, a channel, a
    /// cancellation token. If the future that `run_until` returns is dropped before its end, the worker is
    /// dropped too.
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
    /// A process manager stops a service with SIGTERM. Ctrl-C sends SIGINT:
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
    /// Those of [`WorkerBuilder::start`], and `AB0607` if the worker had to stop by itself.
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

    /// Starts the worker: it registers with the store, and begins to claim and run what is due.
    ///
    /// # Errors
    /// `AB0601` if nothing is registered or a name is registered twice; `AB0611` if a transactional activity
    /// takes a connection of another kind of database; `AB05xx` if the database cannot be written.
    pub async fn start(mut self) -> Result<Worker> {
        if let Some(test) = self.abide.host().test().cloned() {
            self.registry.run_through(&test);
        }
        self.registry.check(&self.queue, self.abide.store().database())?;
        let host = self.abide.host().clone();
        let (registry, options) = (Arc::new(self.registry), Arc::new(self.options));
        host.inside(Worker::start(self.abide, self.queue, registry, options)).await
    }
}
