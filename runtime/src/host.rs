//! What the engine takes from its process: threads for workflow code, the intervals of its periodic checks,
//! and unique and random numbers.
//!
//! A program uses those of the operating system. A test environment and a simulation supply their own, so
//! that one seed decides all that happens. Time is not included: everything above the stores uses tokio's
//! clock, which tests can pause.

use crate::activity::ActivityContext;
use crate::engine::EngineThread;
use crate::future::BoxFuture;
use crate::store::{LEASE, RENEW_EVERY};
use abide_core::FailureRecord;
use abide_core::exec::AttemptOutcome;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use uuid::Uuid;

/// A simulated process of a test, in the place of the operating system's. All its tasks run on one thread, workflow
/// threads included.
pub(crate) trait TestHost: Send + Sync + 'static {
    /// The next random number.
    fn random(&self) -> u64;

    /// Runs the future among the process's own tasks. Tasks that it spawns run there too.
    fn run_inside(&self, future: BoxFuture<'static, ()>) -> BoxFuture<'static, ()>;

    /// Called when an attempt begins.
    fn attempt_begins(&self, attempt: &ActivityContext);

    /// Called when an attempt has failed.
    fn attempt_failed(&self, attempt: &ActivityContext, failure: &FailureRecord);

    /// Called when another attempt of a workflow follows. `attempts`: how many have failed.
    fn workflow_failed(&self, workflow_id: &str, attempts: u32, failure: &str);

    /// Called when that attempt begins. `attempts`: how many have failed.
    fn workflow_begins_again(&self, workflow_id: &str, attempts: u32);

    /// Runs the body of an activity that is not mocked.
    fn run_activity(
        &self,
        name: &'static str,
        body: BoxFuture<'static, AttemptOutcome>,
    ) -> BoxFuture<'static, AttemptOutcome>;

    /// Lets time pass while the future waits.
    fn wait<'a>(&self, future: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), GivenUp>>;
}

/// Why a wait in a test's process was given up.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) enum GivenUp {
    /// Nothing can happen any more that could end the wait.
    NothingLeft,
    /// An activity or a workflow is retried without end.
    Endless(Endless),
    /// Time stands still because an activity runs in real time.
    Standstill(Standstill),
}

/// See [`GivenUp::Standstill`].
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Standstill {
    /// The names of the running activities.
    pub(crate) activities: Vec<String>,
    /// How long the oldest of them has run.
    pub(crate) lasted: Duration,
}

/// See [`GivenUp::Endless`].
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "testing"), allow(dead_code))]
pub(crate) struct Endless {
    /// `None`: the workflow itself.
    pub(crate) activity: Option<String>,
    pub(crate) workflow_id: String,
    /// How many attempts have failed.
    pub(crate) attempts: u32,
    /// The failure of the last one.
    pub(crate) failure: String,
}

/// How often a worker checks by itself for changes that it may have missed, and how long its lease lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Interval of the checks for work and messages, in case a notification was missed.
    pub(crate) poll: Duration,
    /// Interval of the checks for due executions of types that no worker has.
    pub(crate) unknown: Duration,
    /// Interval of the sweep, which corrects what is parked.
    pub(crate) sweep: Duration,
    /// Interval of the checks for dead workers. On SQLite their file locks show a death at once.
    pub(crate) dead: Duration,
    /// The longest wait for a timer before the wall clock is read again: it may have been set forward, and
    /// the monotonic clock does not count the time during which a computer was suspended. Each renewal
    /// measures the wall clock again.
    pub(crate) clock: Duration,
    /// Interval of the checks for blocked workflow threads.
    pub(crate) threads: Duration,
    /// Time between two renewals of the lease.
    pub(crate) renew: Duration,
    /// Time from a renewal to the end of the lease.
    pub(crate) lease: Duration,
}

impl Pace {
    /// The pace of a program.
    pub(crate) const PROGRAM: Self = Self {
        poll: Duration::from_secs(1),
        unknown: Duration::from_secs(5),
        sweep: Duration::from_secs(60),
        dead: Duration::from_secs(1),
        clock: RENEW_EVERY,
        threads: Duration::from_millis(250),
        renew: RENEW_EVERY,
        lease: LEASE,
    };

    /// No checks. In one process with its tables in memory no change is missed, and a clock that jumps from
    /// timer to timer must not stop at each check.
    #[cfg(feature = "testing")]
    pub(crate) const NEVER: Self = {
        // Later than the end of a test's time.
        let never = Duration::from_secs(10_000 * 365 * 86_400);
        Self {
            poll: never,
            unknown: never,
            sweep: never,
            dead: never,
            clock: never,
            threads: never,
            renew: never,
            lease: never,
        }
    };
}

/// See the module documentation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) pace: Pace,
    engine: EngineThread,
    run_ids: Arc<RunIds>,
    /// `None` in a program.
    test: Option<Arc<dyn TestHost>>,
}

impl Default for Host {
    fn default() -> Self {
        Self { pace: Pace::PROGRAM, engine: EngineThread::default(), run_ids: Arc::default(), test: None }
    }
}

/// Creates run ids: UUIDv7 by the database's clock, so that a list ordered by run id is ordered by time,
/// whichever process started the runs. Within one millisecond, and while the clock is set back, a counter
/// keeps the order of one process's starts.
#[derive(Default)]
pub(crate) struct RunIds(Mutex<(u64, u32)>);

impl RunIds {
    /// The number of ids in one millisecond. Further ids take the next millisecond.
    const OF_ONE_MS: u32 = 1 << 26;

    fn next(&self, now_ms: i64, random: u64) -> Uuid {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = u64::try_from(now_ms).unwrap_or(0);
        *last = match *last {
            (ms, _) if now_ms > ms => (now_ms, 0),
            (ms, count) if count + 1 < Self::OF_ONE_MS => (ms, count + 1),
            (ms, _) => (ms + 1, 0),
        };
        let (ms, count) = *last;
        // After the time come 12 bits, 2 bits of variant, and 62 bits. The counter comes first, around the
        // variant.
        let mut rest = [0; 10];
        let (high, low) = ((count >> 14).to_be_bytes(), (count & 0x3fff).to_be_bytes());
        rest[..2].copy_from_slice(&high[2..]);
        rest[2..4].copy_from_slice(&low[2..]);
        rest[4..].copy_from_slice(&random.to_be_bytes()[2..]);
        uuid::Builder::from_unix_timestamp_millis(ms, &rest).into_uuid()
    }
}

impl Host {
    /// The host of a test's simulated process.
    #[cfg(feature = "testing")]
    pub(crate) fn of_test(pace: Pace, test: Arc<dyn TestHost>) -> Self {
        Self { pace, engine: EngineThread::default(), run_ids: Arc::default(), test: Some(test) }
    }

    /// The test's process, if this is one.
    pub(crate) fn test(&self) -> Option<&Arc<dyn TestHost>> {
        self.test.as_ref()
    }

    /// The runtime for the loops that keep a worker alive: the engine's own thread. A test's process has one
    /// thread for all.
    ///
    /// # Errors
    /// The operating system's error if it cannot start a thread.
    pub(crate) fn engine(&self) -> std::io::Result<Handle> {
        if self.test.is_some() {
            return Ok(Handle::current());
        }
        self.engine.handle()
    }

    /// Whether this is a simulated process of a test or a simulation.
    pub(crate) fn is_test(&self) -> bool {
        self.test.is_some()
    }

    /// An id that was never used: a UUIDv7, so that ids created close in time are close in an index.
    pub(crate) fn fresh_id(&self) -> String {
        if let Some(test) = &self.test {
            let bits = u128::from(test.random()) << 64 | u128::from(test.random());
            return uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string();
        }
        Uuid::now_v7().to_string()
    }

    /// The id of a run that starts now, by the store's clock: see [`RunIds`].
    pub(crate) fn run_id(&self, now_ms: i64) -> String {
        if let Some(test) = &self.test {
            // Draws two random numbers, like every id, so that later draws of a seed stay the same.
            let random = test.random() ^ test.random();
            return self.run_ids.next(now_ms, random).to_string();
        }
        self.run_ids.next(now_ms, Uuid::now_v7().as_u64_pair().1).to_string()
    }

    /// A seed for an execution's random numbers: the random part of a new UUID.
    pub(crate) fn seed(&self) -> u64 {
        if let Some(test) = &self.test {
            return test.random();
        }
        Uuid::now_v7().as_u64_pair().1
    }

    /// Runs workflow code that may take long, beside everything else.
    pub(crate) async fn run_aside<T: Send + 'static>(
        &self,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        if self.test.is_some() {
            return Ok(run());
        }
        tokio::task::spawn_blocking(run).await
    }

    /// Waits for something that the engine does by itself. Gives up only in a test's process.
    pub(crate) async fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> Result<T, GivenUp> {
        if let Some(test) = &self.test {
            let mut output = None;
            test.wait(Box::pin(async { output = Some(future.await) })).await?;
            return output.ok_or(GivenUp::NothingLeft);
        }
        Ok(future.await)
    }

    /// Runs the future that starts a worker. In a test's process it always runs on that process's thread.
    pub(crate) async fn inside<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        if let Some(test) = &self.test {
            let (tell, told) = tokio::sync::oneshot::channel();
            let run = async move { drop(tell.send(future.await)) };
            test.run_inside(Box::pin(run)).await;
            return told.await.expect("the test's process ran the future to its end");
        }
        future.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_time_and_then_by_their_order() {
        let ids = RunIds::default();
        let mut made: Vec<Uuid> = (0..70_000).map(|_| ids.next(1_000, u64::MAX)).collect();
        // If the clock is set back, the order is kept.
        made.push(ids.next(1, 0));
        made.push(ids.next(1_001, 0));
        assert!(made.is_sorted_by(|a, b| a.to_string() < b.to_string()));
        assert!(
            made.iter().all(|id| id.get_version_num() == 7 && id.get_variant() == uuid::Variant::RFC4122)
        );
        let ms = |id: &Uuid| id.as_u128() >> 80;
        assert_eq!((ms(&made[0]), ms(&made[70_000]), ms(&made[70_001])), (1_000, 1_000, 1_001));
    }

    #[test]
    fn a_millisecond_that_is_full_goes_on_in_the_next() {
        let ids = RunIds(Mutex::new((1_000, RunIds::OF_ONE_MS - 1)));
        let next = ids.next(1_000, 0);
        assert_eq!(next.as_u128() >> 80, 1_001);
        assert!(ids.next(1_000, 0) > next);
    }
}
