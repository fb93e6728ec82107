//! What the engine takes from the process that it lives in: threads for workflow code, how often it looks around by
//! itself, and what must never repeat.
//!
//! A program has the operating system's. A test environment and a simulation give their own, so that one seed decides
//! all that happens. Time is no part of it: everything above the stores asks tokio's clock, which tests can pause.

use crate::engine::EngineThread;
use crate::store::{LEASE, RENEW_EVERY};
use std::time::Duration;
use tokio::runtime::Handle;

#[cfg(feature = "testing")]
pub(crate) use given::TestHost;

/// A process that a test makes up. Its tasks run on one thread, workflow threads among them.
#[cfg(feature = "testing")]
mod given {
    use super::GivenUp;
    use crate::activity::ActivityContext;
    use crate::hub::BoxFuture;
    use abide_core::exec::AttemptOutcome;

    /// See the module's head.
    pub(crate) trait TestHost: Send + Sync + 'static {
        /// The next random number.
        fn random(&self) -> u64;

        /// Runs the future among the process's own tasks: what it spawns is spawned there.
        fn run_inside(&self, future: BoxFuture<'static, ()>) -> BoxFuture<'static, ()>;

        /// An attempt begins; `failure` is what the activity has failed with before, where that is known.
        fn attempt_begins(&self, attempt: &ActivityContext, failure: Option<String>);

        /// Runs the body of an activity that is not mocked.
        fn run_activity(
            &self,
            name: &'static str,
            body: BoxFuture<'static, AttemptOutcome>,
        ) -> BoxFuture<'static, AttemptOutcome>;

        /// Lets time pass while the future waits.
        fn wait<'a>(&self, future: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), GivenUp>>;
    }
}

/// Why a wait in a test's process was given up.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) enum GivenUp {
    /// Nothing can happen any more that it could wait for.
    NothingLeft,
    /// An activity is tried again and again.
    Endless(Endless),
}

/// See [`GivenUp::Endless`].
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Endless {
    pub(crate) activity: String,
    pub(crate) workflow_id: String,
    /// How many attempts have failed.
    pub(crate) attempts: u32,
    /// What the last one failed with.
    pub(crate) failure: String,
}

/// How often a worker looks by itself for what it might not be told, and how long its lease lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// For work and messages: the safety net under all notices.
    pub(crate) poll: Duration,
    /// For due executions of types that nobody has.
    pub(crate) unknown: Duration,
    /// For dead workers. On SQLite their locks tell at once.
    pub(crate) dead: Duration,
    /// At the time, while a timer is set: the wall clock may be set forward, and a computer that was suspended wakes up
    /// later than its monotonic clock says. Each renewal measures it anew.
    pub(crate) clock: Duration,
    /// For workflow threads that block.
    pub(crate) threads: Duration,
    /// Between two renewals of the lease.
    pub(crate) renew: Duration,
    /// From a renewal to the lease's end.
    pub(crate) lease: Duration,
}

impl Pace {
    /// The pace of a program.
    pub(crate) const PROGRAM: Self = Self {
        poll: Duration::from_secs(1),
        unknown: Duration::from_secs(5),
        dead: Duration::from_secs(1),
        clock: RENEW_EVERY,
        threads: Duration::from_millis(250),
        renew: RENEW_EVERY,
        lease: LEASE,
    };

    /// Never: in one process whose tables are in memory nothing is missed, and a clock that jumps from timer to timer
    /// must not stop at each look.
    #[cfg(feature = "testing")]
    pub(crate) const NEVER: Self = {
        // Later than the end of a test's time.
        let never = Duration::from_secs(10_000 * 365 * 86_400);
        Self {
            poll: never,
            unknown: never,
            dead: never,
            clock: never,
            threads: never,
            renew: never,
            lease: never,
        }
    };
}

/// See the module's head. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) pace: Pace,
    engine: EngineThread,
    #[cfg(feature = "testing")]
    test: Option<std::sync::Arc<dyn TestHost>>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            pace: Pace::PROGRAM,
            engine: EngineThread::default(),
            #[cfg(feature = "testing")]
            test: None,
        }
    }
}

#[cfg(feature = "testing")]
impl Host {
    /// A process that a test makes up.
    pub(crate) fn of_test(pace: Pace, test: std::sync::Arc<dyn TestHost>) -> Self {
        Self { pace, engine: EngineThread::default(), test: Some(test) }
    }

    /// The test's process, where it is one.
    pub(crate) fn test(&self) -> Option<&std::sync::Arc<dyn TestHost>> {
        self.test.as_ref()
    }
}

impl Host {
    /// Where to spawn what keeps a worker alive: the engine's own thread. A test's process has one thread for all.
    ///
    /// # Errors
    /// The operating system's, where it gives no thread.
    pub(crate) fn engine(&self) -> std::io::Result<Handle> {
        #[cfg(feature = "testing")]
        if self.test.is_some() {
            return Ok(Handle::current());
        }
        self.engine.handle()
    }

    /// An id that was never used: a UUIDv7, so that ids made close in time are close in an index.
    pub(crate) fn fresh_id(&self) -> String {
        #[cfg(feature = "testing")]
        if let Some(test) = &self.test {
            let bits = u128::from(test.random()) << 64 | u128::from(test.random());
            return uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string();
        }
        uuid::Uuid::now_v7().to_string()
    }

    /// A seed for an execution's random numbers: the random part of a fresh UUID.
    pub(crate) fn seed(&self) -> u64 {
        #[cfg(feature = "testing")]
        if let Some(test) = &self.test {
            return test.random();
        }
        uuid::Uuid::now_v7().as_u64_pair().1
    }

    /// Runs workflow code that may take its time, beside everything else.
    pub(crate) async fn run_aside<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        #[cfg(feature = "testing")]
        if self.test.is_some() {
            return Ok(run());
        }
        tokio::task::spawn_blocking(run).await
    }

    /// Waits for something that the engine does by itself. Given up in a test's process alone.
    pub(crate) async fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> Result<T, GivenUp> {
        #[cfg(feature = "testing")]
        if let Some(test) = &self.test {
            let mut output = None;
            test.wait(Box::pin(async { output = Some(future.await) })).await?;
            return output.ok_or(GivenUp::NothingLeft);
        }
        Ok(future.await)
    }

    /// Runs what begins a worker: in a test's process, whoever calls it.
    pub(crate) async fn inside<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        #[cfg(feature = "testing")]
        if let Some(test) = &self.test {
            let (tell, told) = tokio::sync::oneshot::channel();
            let run = async move { drop(tell.send(future.await)) };
            test.run_inside(Box::pin(run)).await;
            return told.await.expect("the test's process ran the future to its end");
        }
        future.await
    }
}
