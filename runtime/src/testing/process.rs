//! The simulated process of a test environment. It has one thread with a paused clock, on which the engine
//! runs, including workflow threads; and one seed for all randomness.
//!
//! The test itself stays on its own runtime, in real time, and so do activities that are not mocked:
//! otherwise the time limits of a database connection pool or an HTTP client would expire when the clock
//! jumps.

use super::gate::Gate;
use super::hold::{self, Holding};
use super::random::Random;
use crate::activity::ActivityContext;
use crate::future::BoxFuture;
use crate::host::{Endless, GivenUp, TestHost};
use abide_core::FailureRecord;
use abide_core::exec::AttemptOutcome;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How far the clock can jump: a test's time ends after 1,000 years.
const END_OF_TIME: Duration = Duration::from_secs(1_000 * 365 * 86_400);

/// See the module documentation.
pub(super) struct Process {
    runtime: Handle,
    gate: Arc<Gate>,
    /// The test's own runtime.
    outside: Handle,
    clock: Clock,
    random: Random,
    waits_let_time_pass: bool,
    attempt_limit: u32,
    /// The last failures of the activities and workflows that have reached `attempt_limit`, by call and by workflow id.
    failures: Mutex<BTreeMap<String, String>>,
    end: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The test's options.
pub(super) struct ProcessOptions {
    pub(super) seed: u64,
    pub(super) start_ms: i64,
    pub(super) waits_let_time_pass: bool,
    pub(super) attempt_limit: u32,
    pub(super) standstill_limit: Duration,
}

/// The virtual clock, for all threads. Only its own thread can ask tokio.
struct Clock {
    thread: ThreadId,
    started: Instant,
    start_ms: i64,
    /// The time of the last read on its own thread.
    now_ms: AtomicI64,
}

impl Clock {
    fn now_ms(&self) -> i64 {
        if std::thread::current().id() == self.thread && Handle::try_current().is_ok() {
            let passed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
            self.now_ms.store(self.start_ms.saturating_add(passed_ms), Ordering::Release);
        }
        self.now_ms.load(Ordering::Acquire)
    }

    fn at(&self, at_ms: i64) -> Instant {
        self.started + Duration::from_millis(u64::try_from(at_ms - self.start_ms).unwrap_or(0))
    }
}

impl Process {
    /// Starts the process. Must be called in the context of the test's tokio runtime.
    pub(super) fn start(options: &ProcessOptions) -> std::io::Result<Arc<Self>> {
        let end = CancellationToken::new();
        let (tell, told) = std::sync::mpsc::channel();
        let ended = end.clone();
        let thread = std::thread::Builder::new().name("abide-test".to_owned()).spawn(move || {
            let built = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build_local(LocalOptions::default());
            let runtime = match built {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let started = runtime.block_on(async { Instant::now() });
            let begun = (runtime.handle().clone(), std::thread::current().id(), started);
            if tell.send(Ok(begun)).is_ok() {
                runtime.block_on(ended.cancelled());
            }
        })?;
        let begun = told.recv().unwrap_or_else(|_| Err(std::io::Error::other("the test's thread panicked")));
        let (runtime, thread_id, started) = begun?;
        let start_ms = options.start_ms;
        let clock = Clock { thread: thread_id, started, start_ms, now_ms: AtomicI64::new(start_ms) };
        let process = Arc::new(Self {
            gate: Gate::new(runtime.clone(), options.standstill_limit),
            runtime,
            outside: Handle::current(),
            clock,
            random: Random::new(options.seed),
            waits_let_time_pass: options.waits_let_time_pass,
            attempt_limit: options.attempt_limit,
            failures: Mutex::default(),
            end,
            thread: Mutex::new(Some(thread)),
        });
        let gate = Arc::clone(&process.gate);
        let end = started + END_OF_TIME;
        process.runtime.spawn(async move {
            tokio::time::sleep_until(end).await;
            gate.nothing_is_left();
        });
        Ok(process)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn failures(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets this much time pass, even if waits do not let time pass.
    pub(super) async fn sleep(self: &Arc<Self>, duration: Duration) -> Result<(), GivenUp> {
        let slept = self.after(duration, async {});
        let wait = Arc::clone(&self.gate).wait(Box::pin(async { drop(slept.await) }));
        hold::noted(Box::pin(wait)).await
    }

    /// Runs the future after this much time.
    pub(super) fn after<F>(
        self: &Arc<Self>,
        duration: Duration,
        future: F,
    ) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let wait_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let at = self.clock.at(self.now_ms().saturating_add(wait_ms));
        let process = Arc::clone(self);
        self.runtime.spawn(async move {
            tokio::time::sleep_until(at).await;
            // Publishes the new time to other threads.
            process.now_ms();
            future.await
        })
    }

    /// Ends the whole process and drops all its tasks.
    pub(super) fn end(&self) {
        self.gate.shut();
        self.end.cancel();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the thread was reported where it happened.
        thread.map(JoinHandle::join).into_iter().for_each(drop);
    }
}

impl TestHost for Process {
    fn random(&self) -> u64 {
        self.random.next()
    }

    fn run_inside(&self, future: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
        let running = self.runtime.spawn(future);
        // If the future panicked, the caller that waits for its output notices.
        Box::pin(async move { drop(running.await) })
    }

    fn attempt_begins(&self, attempt: &ActivityContext) {
        if attempt.attempt() <= self.attempt_limit {
            return;
        }
        let failure = self.failures().remove(&attempt.idempotency_key());
        self.gate.endless(Endless {
            activity: Some(attempt.activity_type().to_owned()),
            workflow_id: attempt.workflow_id().to_owned(),
            attempts: attempt.attempt() - 1,
            failure: failure.unwrap_or_else(|| "a time limit, or the loss of its worker".to_owned()),
        });
    }

    fn attempt_failed(&self, attempt: &ActivityContext, failure: &FailureRecord) {
        if attempt.attempt() >= self.attempt_limit {
            self.failures().insert(attempt.idempotency_key(), failure.to_string());
        }
    }

    fn workflow_failed(&self, workflow_id: &str, attempts: u32, failure: &str) {
        if attempts >= self.attempt_limit {
            self.failures().insert(workflow_id.to_owned(), failure.to_owned());
        }
    }

    fn workflow_begins_again(&self, workflow_id: &str, attempts: u32) {
        if attempts < self.attempt_limit {
            return;
        }
        // Those who wait for the attempt before it have been told of its end.
        let failure = self.failures().remove(workflow_id);
        self.gate.endless(Endless {
            activity: None,
            workflow_id: workflow_id.to_owned(),
            attempts,
            failure: failure.unwrap_or_else(|| "the loss of its worker".to_owned()),
        });
    }

    fn run_activity(
        &self,
        name: &'static str,
        body: BoxFuture<'static, AttemptOutcome>,
    ) -> BoxFuture<'static, AttemptOutcome> {
        let holding = Holding::new(&self.gate, name);
        let body = holding.around(body);
        let running = tokio_util::task::AbortOnDropHandle::new(self.outside.spawn(body));
        Box::pin(async move {
            let ended = running.await;
            drop(holding);
            match ended {
                Ok(outcome) => outcome,
                // The test's runtime has ended.
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn wait<'a>(&self, future: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), GivenUp>> {
        if !self.waits_let_time_pass {
            return hold::noted(Box::pin(async move {
                future.await;
                Ok(())
            }));
        }
        hold::noted(Box::pin(Arc::clone(&self.gate).wait(future)))
    }
}
