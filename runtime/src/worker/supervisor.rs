//! The running worker: begins sessions, ends them, and begins a new session when the lease was lost.

use super::local::Local;
use super::lock::lock;
use super::mailbox::Message;
use super::options::Options;
use super::registry::Registry;
use super::session::{End, Session};
use super::{beats, claims, ends, inbox, lease, orphans, rounds, schedules, sweep, tasks, watchdog};
use crate::Abide;
use crate::error::{Error, Result};
use crate::host::GivenUp;
use crate::hub::LocalWorker;
use crate::store::{StoreError, WorkerInfo};
use abide_core::Code;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::instrument::WithSubscriber;

/// At a shutdown: how long activities that were asked to stop may still run.
const ABORT_GRACE: Duration = Duration::from_secs(2);
/// At a shutdown: how many times to check, 10 ms apart, whether the last outcomes are written. 5 s in all.
const UNWRITTEN_CHECKS: u32 = 500;
/// The delay before a worker that lost its lease tries again to register.
const RETRY: Duration = Duration::from_secs(1);

/// A running worker. Keep it: dropping it stops the worker without a grace period, as a crash would. Nothing
/// is lost, and another worker takes its executions over; AB0625 warns if it ran anything.
/// [`Worker::shutdown`] stops it gracefully.
#[must_use = "a worker stops when it is dropped: keep it in a variable, and end it with `.shutdown().await`"]
pub struct Worker {
    inner: Arc<Inner>,
    supervisor: Option<JoinHandle<Result<()>>>,
}

struct Inner {
    abide: Abide,
    queue: String,
    registry: Arc<Registry>,
    options: Arc<Options>,
    session: Mutex<Option<Arc<Session>>>,
    stopped: watch::Sender<bool>,
    shutdown: CancellationToken,
}

impl Worker {
    pub(super) async fn start(
        abide: Abide,
        queue: String,
        registry: Arc<Registry>,
        options: Arc<Options>,
    ) -> Result<Self> {
        let inner = Arc::new(Inner {
            abide,
            queue,
            registry,
            options,
            session: Mutex::default(),
            stopped: watch::Sender::new(false),
            shutdown: CancellationToken::new(),
        });
        inner.set_limits().await?;
        let first = inner.begin().await?;
        tracing::info!(
            target: "abide::worker",
            task_queue = inner.queue,
            build = inner.options.build,
            workflows = ?inner.registry.workflow_names(),
            activities = ?inner.registry.activity_names(),
            "a worker has started"
        );
        let supervisor = tokio::spawn(Arc::clone(&inner).supervise(first));
        Ok(Self { inner, supervisor: Some(supervisor) })
    }

    /// The task queue that this worker serves.
    pub fn task_queue(&self) -> &str {
        &self.inner.queue
    }

    /// Stops the worker. It accepts nothing new, lets running activities finish within the grace period (see
    /// [`shutdown_grace`](crate::WorkerBuilder::shutdown_grace)), asks the rest to stop and records them as
    /// failed attempts, then releases everything that it owns. Nothing is lost: another worker, or this one
    /// started again, continues where it stopped.
    ///
    /// # Errors
    /// The error that stopped the worker before: `AB0607` with the reason.
    pub async fn shutdown(mut self) -> Result<()> {
        self.inner.shutdown.cancel();
        let host = self.inner.abide.host().clone();
        // The host reports that nothing can happen any more only if the activities' bodies never end. Then
        // there is nothing to wait for.
        match host.wait(self.join()).await {
            Ok(ended) => ended,
            Err(GivenUp::Standstill(standstill)) => Err(standstill.into()),
            Err(GivenUp::NothingLeft | GivenUp::Endless(_)) => Ok(()),
        }
    }

    /// Waits until the worker stops by itself, which it does only on a fatal error of its database.
    ///
    /// # Errors
    /// `AB0607` with the reason.
    pub async fn stopped(&mut self) -> Result<()> {
        let mut stopped = self.inner.stopped.subscribe();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        self.join().await
    }

    async fn join(&mut self) -> Result<()> {
        let Some(supervisor) = self.supervisor.take() else { return Ok(()) };
        supervisor.await.unwrap_or_else(|error| {
            Err(Error::WorkerStopped { task_queue: self.inner.queue.clone(), message: error.to_string() })
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.supervisor.is_none() {
            return;
        }
        if let Some(session) = lock(&self.inner.session).as_ref() {
            let (runs, attempts) = session.has();
            if runs > 0 || attempts > 0 {
                tracing::warn!(
                    target: "abide::worker",
                    code = Code::WorkerDropped.as_str(),
                    task_queue = self.inner.queue,
                    "{}: the worker of task queue `{}` was dropped while it had {runs} runs and {attempts} \
                     attempts of activities: they go on in another worker, and those attempts count as \
                     lost. Keep the worker in a variable, and end it with `.shutdown().await`",
                    Code::WorkerDropped,
                    self.inner.queue
                );
            }
            session.finish(End::Shutdown);
        }
    }
}

/// The tasks of a session and its registration in the hub. Dropping it ends both.
struct Begun {
    session: Arc<Session>,
    _local: Arc<Local>,
    hub_entry: Weak<dyn LocalWorker>,
    loops: JoinSet<()>,
}

impl Inner {
    /// Writes the limits of its activities for all workers of its task queue, and deletes those that they have no more:
    /// the last worker that started wins (PROTOCOL 78). A session that begins again after a lost lease writes nothing.
    async fn set_limits(&self) -> Result<()> {
        let limited = self.abide.store().limited(self.queue.clone()).await?;
        let mut limits = self.registry.limits();
        limits.retain(|limit| !limit.is_none() || limited.contains(&limit.activity));
        if !limits.is_empty() {
            self.abide.store().set_limits(self.queue.clone(), limits).await?;
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Begun> {
        let engine = self.abide.host().engine().map_err(|error| Error::WorkerStopped {
            task_queue: self.queue.clone(),
            message: format!("the engine's thread could not be started: {error}"),
        })?;
        let info = WorkerInfo {
            build: self.options.build.clone(),
            name: format!("process {}", std::process::id()),
            queue: self.queue.clone(),
            types: self.registry.workflow_names(),
        };
        let former =
            lock(&self.session).as_ref().map(|session| session.me).filter(|_| mutant!(ReuseIncarnation));
        let me = match former {
            Some(former) => former,
            None => self.abide.store().register(info).await?,
        };
        let (abide, queue) = (self.abide.clone(), self.queue.clone());
        let session = Session::new(abide, queue, me, Arc::clone(&self.registry), Arc::clone(&self.options));
        rounds::spawn_all(&session);
        let mut loops = JoinSet::new();
        // The loops that keep the session alive must not wait for a runtime that an activity blocks.
        loops.spawn_on(lease::renew_loop(Arc::clone(&session)).with_current_subscriber(), &engine);
        loops.spawn_on(watchdog::watch(Arc::clone(&session)).with_current_subscriber(), &engine);
        loops.spawn(lease::take_over_loop(Arc::clone(&session)));
        loops.spawn(claims::claim_loop(Arc::clone(&session)));
        loops.spawn(claims::slow_claim_loop(Arc::clone(&session)));
        loops.spawn(ends::claim_loop(Arc::clone(&session)));
        loops.spawn(inbox::inbox_loop(Arc::clone(&session)));
        loops.spawn(tasks::claim_loop(Arc::clone(&session)));
        loops.spawn(tasks::watch_loop(Arc::clone(&session)));
        loops.spawn(tasks::expire_loop(Arc::clone(&session)));
        loops.spawn(beats::beats_loop(Arc::clone(&session)));
        loops.spawn(sweep::sweep_loop(Arc::clone(&session)));
        loops.spawn(orphans::orphans_loop(Arc::clone(&session)));
        loops.spawn(schedules::schedules_loop(Arc::clone(&session)));
        let local = Arc::new(Local(Arc::clone(&session)));
        let hub_entry = Arc::downgrade(&local) as Weak<dyn LocalWorker>;
        self.abide.hub().register(Weak::clone(&hub_entry));
        *lock(&self.session) = Some(Arc::clone(&session));
        Ok(Begun { session, _local: local, hub_entry, loops })
    }

    async fn supervise(self: Arc<Self>, first: Begun) -> Result<()> {
        let mut begun = first;
        let result = loop {
            let end = self.until_end(&begun.session).await;
            match end {
                // A start that names no queue must find this worker also while it registers again.
                End::Fenced => self.abide.hub().rest(&begun.hub_entry),
                _ => self.abide.hub().deregister(&begun.hub_entry),
            }
            match end {
                End::Shutdown if self.shutdown.is_cancelled() => break self.wind_down(&mut begun).await,
                End::Shutdown => {
                    self.kill(&mut begun).await;
                    break Ok(());
                }
                End::Fatal(message) => {
                    self.kill(&mut begun).await;
                    break Err(Error::WorkerStopped { task_queue: self.queue.clone(), message });
                }
                End::Fenced => {
                    tracing::warn!(
                        code = Code::LeaseLost.as_str(),
                        "{}: the lease is lost; the worker begins again",
                        Code::LeaseLost
                    );
                    self.kill(&mut begun).await;
                }
            }
            begun = match self.begin_again().await {
                Ok(begun) => begun,
                Err(error) => break Err(error),
            };
        };
        *lock(&self.session) = None;
        match &result {
            Ok(()) => {
                tracing::info!(target: "abide::worker", task_queue = self.queue, "a worker has stopped")
            }
            Err(error) => {
                tracing::error!(target: "abide::worker", code = error.code(), task_queue = self.queue, "{error}")
            }
        }
        self.stopped.send_replace(true);
        result
    }

    /// Waits for the end of the session, and returns its reason.
    async fn until_end(&self, session: &Session) -> End {
        let mut end = session.end.subscribe();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => End::Shutdown,
            ended = end.wait_for(Option::is_some) => {
                ended.ok().and_then(|end| end.clone()).unwrap_or(End::Shutdown)
            }
        }
    }

    async fn begin_again(&self) -> Result<Begun> {
        loop {
            match self.begin().await {
                Ok(begun) => return Ok(begun),
                Err(error) if self.shutdown.is_cancelled() => return Err(error),
                Err(error) => tracing::warn!(code = error.code(), "the worker could not register: {error}"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Drops everything at once. Other workers take over what it owned, or already have.
    async fn kill(&self, begun: &mut Begun) {
        let session = &begun.session;
        session.finish(End::Shutdown);
        session.runner.abandon();
        for thread in session.threads() {
            let _ = thread.send(Message::Stop);
        }
        begun.loops.abort_all();
        match self.abide.store().unregister(session.me).await {
            Ok(()) | Err(StoreError::Fenced) => {}
            Err(error) => tracing::warn!(code = error.code(), "the worker could not unregister: {error}"),
        }
        // The released executions may be due before the next poll, and a store does not notify this process
        // of its own commits.
        self.abide.hub().wake_workers();
    }

    /// PROTOCOL 4: nothing new starts, running activities get their grace period, every outcome is written,
    /// everything is released.
    async fn wind_down(&self, begun: &mut Begun) -> Result<()> {
        let session = &begun.session;
        session.draining.store(true, std::sync::atomic::Ordering::Release);
        session.runner.shutdown(self.options.grace, ABORT_GRACE).await;
        tasks::give_back(session).await;
        for _ in 0..UNWRITTEN_CHECKS {
            if session.is_over() || !session.attempts.unwritten() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for thread in session.threads() {
            let drained = CancellationToken::new();
            if thread.send(Message::Drain(drained.clone())).is_ok() {
                tokio::select! {
                    biased;
                    () = drained.cancelled() => {}
                    () = thread.gone.cancelled() => {}
                    _ = self.until_over(session) => {}
                }
            }
        }
        self.kill(begun).await;
        Ok(())
    }

    async fn until_over(&self, session: &Session) {
        let mut end = session.end.subscribe();
        let _ = end.wait_for(Option::is_some).await;
    }
}
