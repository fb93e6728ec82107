//! Runs attempts: slots, time limits, cancellation, shutdown. Each attempt gets exactly one outcome.
//!
//! The worker decides what runs and when (including back-off). An attempt is one tokio task, which holds its
//! slot until its code has really ended, so that a body that blocks its thread never lets more attempts run
//! than there are slots. A limit has its own task, and is reported in time even then. The first of the code,
//! a limit and the shutdown reports.

use super::blocking::SLOT;
use super::blocking::Slot;
use super::context::ActivityContext;
use super::entry::ActivityEntry;
use super::info::AttemptInfo;
pub(crate) use super::limits::Limits;
use super::publisher::{Outlet, Publishes};
pub(crate) use super::running::ReportFn;
use super::running::Running;
use super::transaction::{self, AttemptEnd, Transactions};
use super::waits::Waits;
use super::warn::{Samples, is_blocked, warned};
use crate::store::TaskKey;
use abide_core::exec::AttemptOutcome;
use abide_core::{Code, FailureKind, FailureRecord, Payload, TimeoutKind};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// One attempt to run.
pub(crate) struct Attempt {
    /// The registered code.
    pub(crate) entry: Arc<ActivityEntry>,
    /// The identity of the attempt.
    pub(crate) info: AttemptInfo,
    /// The encoded arguments.
    pub(crate) input: Payload,
    /// How long it may wait and run.
    pub(crate) limits: Limits,
    /// For an activity whose SQL commits with its result: its transactions.
    pub(crate) transactions: Option<Transactions>,
    /// Where the items go that it publishes; `None`: nowhere.
    pub(crate) outlet: Option<Outlet>,
    /// Its row, if it is a task: the holder of its token may complete it.
    pub(crate) task: Option<TaskKey>,
    /// Called once, unless the runner stops before the attempt gets a slot.
    pub(crate) report: ReportFn,
}

/// The activity slots of one worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    slots: Arc<Semaphore>,
    /// Cancelled when nothing more may start.
    stopping: CancellationToken,
    /// Started attempts, until their bodies end. A limit may have reported an attempt's end earlier.
    running: Mutex<BTreeMap<u64, Arc<Running>>>,
    waits: Arc<Waits>,
    next: AtomicU64,
    ended: Notify,
    /// When the worker's lease was last renewed, on a clock that continues while the process is stopped.
    renewed: Mutex<Instant>,
    lease: Duration,
    shows_values: bool,
}

/// An attempt's entry among the running ones. Dropped together with its body.
struct Entered {
    inner: Arc<Inner>,
    key: u64,
    running: Arc<Running>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.inner.running().remove(&self.key);
        self.inner.ended.notify_waiters();
    }
}

impl Runner {
    /// `lease`: the worker's lease time. `shows_values`: whether the engine's messages show values.
    pub(crate) fn new(slots: usize, lease: Duration, shows_values: bool) -> Self {
        let inner = Inner {
            slots: Arc::new(Semaphore::new(slots.clamp(1, Semaphore::MAX_PERMITS))),
            stopping: CancellationToken::new(),
            running: Mutex::default(),
            waits: Waits::new(slots.max(1)),
            next: AtomicU64::new(0),
            ended: Notify::new(),
            renewed: Mutex::new(Instant::now()),
            lease,
            shows_values,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Records that the worker's lease was renewed, by a call that was made `at`.
    pub(crate) fn renewed(&self, at: Instant) {
        *self.inner.renewed.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Runs an attempt as soon as a slot is free, first come, first served. The token asks it to stop. Must
    /// be called in the context of a tokio runtime.
    pub(crate) fn run(&self, attempt: Attempt, token: CancellationToken) {
        let inner = Arc::clone(&self.inner);
        // Usually a slot is free. Then the attempt's task is its body, with no wait before it.
        match Arc::clone(&inner.slots).try_acquire_owned() {
            Ok(slot) => inner.start(attempt, token, slot),
            Err(_) => {
                tokio::spawn(async move {
                    if let Some((attempt, slot)) = inner.wait_for_slot(attempt, &token).await {
                        inner.start(attempt, token, slot);
                    }
                });
            }
        }
    }

    /// Waits for a free slot, then takes up to `most` free slots. Empty if nothing may start any more. With
    /// `own` workflows, half of the free slots stay free: their activities need not wait for a claim.
    pub(crate) async fn reserve(&self, most: usize, own: bool) -> Vec<Slot> {
        let first = tokio::select! {
            biased;
            () = self.inner.stopping.cancelled() => None,
            slot = Arc::clone(&self.inner.slots).acquire_owned() => slot.ok(),
        };
        // In addition to the first slot, which is already taken.
        let most = if own { most.min(1 + self.inner.slots.available_permits() / 2) } else { most };
        let free = || Arc::clone(&self.inner.slots).try_acquire_owned().ok();
        first
            .into_iter()
            .flat_map(|first| std::iter::once(first).chain(std::iter::from_fn(free)))
            .take(most)
            .collect()
    }

    /// Runs an attempt in a reserved slot. If nothing may start any more, it neither runs nor reports.
    pub(crate) fn run_in(&self, slot: Slot, attempt: Attempt, token: CancellationToken) {
        Arc::clone(&self.inner).start(attempt, token, slot);
    }

    /// Checks for bodies that block threads (AB0623), and for slots that all wait for workflows (AB0624).
    pub(crate) fn sample(&self, samples: &mut Samples) {
        let blocked: Vec<_> = {
            let table = self.inner.running();
            let inside = table.iter().filter_map(|(key, running)| Some((*key, running.polls.current()?)));
            samples.take(inside).iter().filter_map(|key| table.get(key).cloned()).collect()
        };
        // Warn without the lock: a subscriber may be slow.
        blocked.iter().for_each(|running| is_blocked(running));
        self.inner.waits.sample();
    }

    /// How many attempts are running.
    #[cfg(test)]
    fn running(&self) -> usize {
        self.inner.unreported().len()
    }

    /// Starts nothing more and asks running attempts to stop: the lease may be lost (PROTOCOL 18). The workflow has not
    /// cancelled them, so an attempt that fails now counts as lost with its worker, as at a shutdown.
    pub(crate) fn cancel_all(&self) {
        self.inner.stopping.cancel();
        self.inner.running().values().for_each(|running| running.shut_down());
    }

    /// Drops running attempts without a report: another worker owns them now.
    pub(crate) fn abandon(&self) {
        self.cancel_all();
        self.inner.unreported().iter().for_each(|running| running.abandon());
    }

    /// Stops (PROTOCOL 4). Nothing more starts; an attempt that waits for a slot is not reported and loses
    /// nothing. Running attempts get `grace` to end, are then asked to stop, and are dropped after `last`.
    /// Attempts that did not end by themselves are reported as failed (`WorkerShutdown`). Returns when all
    /// are reported.
    pub(crate) async fn shutdown(&self, grace: Duration, last: Duration) {
        self.inner.stopping.cancel();
        if tokio::time::timeout(grace, self.inner.idle()).await.is_ok() {
            return;
        }
        self.inner.unreported().iter().for_each(|running| running.shut_down());
        if tokio::time::timeout(last, self.inner.idle()).await.is_ok() {
            return;
        }
        for running in self.inner.unreported() {
            tracing::warn!(
                code = Code::GraceOver.as_str(),
                activity = running.name,
                "{}: activity `{}` was still running at the end of the shutdown's grace: its attempt counts as \
                 failed and is repeated by the next worker, if its retry policy allows",
                Code::GraceOver,
                running.name
            );
            running.abort();
            running.give(lost_to_shutdown(running.name));
        }
    }
}

impl Inner {
    /// Whether another worker may by now run what this one would start (PROTOCOL 18). The session is then
    /// over, or is about to end: it ends a second before this (see `renew_loop`), so no caller waits for an
    /// attempt that is refused here.
    fn is_stale(&self) -> bool {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed() >= self.lease / 4 * 3
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempts whose end is still to be reported.
    fn unreported(&self) -> Vec<Arc<Running>> {
        self.running().values().filter(|running| running.is_unreported()).cloned().collect()
    }

    async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.unreported().is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Waits for a slot. `None` if the attempt was reported instead, or if the runner stops.
    async fn wait_for_slot(
        &self,
        attempt: Attempt,
        token: &CancellationToken,
    ) -> Option<(Attempt, OwnedSemaphorePermit)> {
        let limit = attempt.limits.waiting();
        let _queued = self.waits.queued(attempt.entry.name(), &attempt.info);
        let outcome = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return None,
            () = token.cancelled() => AttemptOutcome::Cancelled,
            slot = Arc::clone(&self.slots).acquire_owned() => return slot.ok().map(|slot| (attempt, slot)),
            kind = ran_out(limit) => timed_out(attempt.entry.name(), kind),
        };
        (attempt.report)(outcome.into());
        None
    }

    /// Starts the body in its own task.
    fn start(self: Arc<Self>, attempt: Attempt, token: CancellationToken, slot: OwnedSemaphorePermit) {
        let Attempt { entry, info, input, limits, transactions, outlet, task, report } = attempt;
        let (key, name) = (self.next.fetch_add(1, Ordering::Relaxed), entry.name());
        let (limit, ends_at) = (limits.running(), limits.attempt_ends());
        let running = Running::new(name, Arc::clone(&info.workflow_id), token.clone(), report);
        let running = Arc::new(running);
        let span = tracing::info_span!(
            target: "abide::activity",
            "activity",
            activity = name,
            workflow_id = &*info.workflow_id,
            run_id = &*info.run_id,
            attempt = info.attempt,
        );
        let slots = self.waits.slot(key);
        let publishes = Publishes::of(outlet, info.attempt, entry.database().is_some());
        let context =
            ActivityContext::new(info, name, limit.map(|(at, _)| at), token).publishing(publishes.clone());
        let context = context.in_slot(slots).showing_values(self.shows_values).of_task(task);
        let later = Arc::clone(context.later());
        // Insert the entry before the task exists: an attempt that ends at once must find its entry to remove
        // it. Check under the lock: a shutdown forbids starts before it counts the running attempts, so an
        // attempt that it does not count never starts.
        let mut table = self.running();
        // A process that was stopped may continue with a free slot before it knows that its lease is lost.
        if self.stopping.is_cancelled() || self.is_stale() {
            return;
        }
        table.insert(key, Arc::clone(&running));
        drop(table);
        let published = publishes.clone();
        let entered = Entered { inner: Arc::clone(&self), key, running: Arc::clone(&running) };
        let body = tokio::spawn(async move {
            let (unbounded, needs, running) = (limit.is_none(), entry.database(), &entered.running);
            let run = SLOT.scope(Cell::new(Some(slot)), async {
                match transactions {
                    Some(transactions) if needs.is_some() => {
                        let body = || entry.run(context.clone(), input.clone());
                        let run = pin!(transactions.run(name, running.token.clone(), body));
                        warned(name, unbounded, run).await
                    }
                    None if needs.is_some() => transaction::unplanned(name),
                    _ => warned(name, unbounded, entry.run(context, input)).await.into(),
                }
            });
            // Dropped once the body has said that it is completed later, and the slot with it.
            let ended = async {
                tokio::select! {
                    biased;
                    ended = running.polls.count(run.instrument(span)) => ended,
                    () = later.said() => handed_out(name, task, ends_at),
                }
            };
            let ended = ended.await;
            published.close().await;
            running.give(settle(ended, running));
        });
        running.runs_in(body.abort_handle());
        if let Some(limit) = limit {
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = body => {}
                    kind = ran_out(Some(limit)) => {
                        // Report first: what the body does after it is cancelled is ignored. But not before what
                        // it has published, if the database is there.
                        publishes.close_soon().await;
                        running.give(timed_out(name, kind));
                        running.token.cancel();
                        running.abort();
                        self.ended.notify_waiters();
                    }
                }
            });
        }
    }
}

/// Resolves when the limit runs out. Never resolves without a limit.
async fn ran_out(limit: Option<(Instant, TimeoutKind)>) -> TimeoutKind {
    match limit {
        Some((at, kind)) => {
            sleep_until(at).await;
            kind
        }
        None => std::future::pending().await,
    }
}

/// The end of a body that is completed later. Only a task has a row that waits for its token.
fn handed_out(name: &str, task: Option<TaskKey>, ends_at: Option<Instant>) -> AttemptEnd {
    if task.is_some() {
        let ends_in = ends_at.map(|at| at.saturating_duration_since(Instant::now()));
        return AttemptEnd::Later { ends_in };
    }
    let message = format!(
        "{}: activity `{name}` is completed later, but this attempt has no token: write `#[activity(complete_later)]`; a \
         call that was scheduled before the word was written cannot be completed later",
        Code::ActivityToken
    );
    tracing::warn!(code = Code::ActivityToken.as_str(), activity = name, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None }.into()
}

/// The meaning of a body's end: a body that failed after it was asked to stop counts as stopped.
fn settle(ended: AttemptEnd, running: &Running) -> AttemptEnd {
    match ended {
        AttemptEnd::Outcome(AttemptOutcome::Failed { .. }) if running.is_shut_down() => {
            lost_to_shutdown(running.name).into()
        }
        AttemptEnd::Outcome(AttemptOutcome::Failed { .. }) if running.token.is_cancelled() => {
            AttemptOutcome::Cancelled.into()
        }
        other => other,
    }
}

fn lost_to_shutdown(name: &str) -> AttemptOutcome {
    let message = format!("the worker stopped before activity `{name}` ended");
    let failure = FailureRecord::new(FailureKind::WorkerShutdown, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: Some(Duration::ZERO) }
}

fn timed_out(name: &str, kind: TimeoutKind) -> AttemptOutcome {
    let failure =
        FailureRecord::new(FailureKind::TimedOut(kind), format!("activity `{name}` timed out ({kind})"));
    AttemptOutcome::Failed { failure, retryable: kind == TimeoutKind::StartToClose, retry_after: None }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
