//! Runs attempts: slots, time limits, cancellation, shutdown. Each attempt gets exactly one outcome.
//!
//! The worker decides what runs and when (including back-off). An attempt is one tokio task, which holds its
//! slot until its code has really ended, so that a body that blocks its thread never lets more attempts run
//! than there are slots. A limit has its own task, and is reported in time even then. The first of the code,
//! a limit and the shutdown reports.

use super::blocking::SLOT;
use super::blocking::Slot;
use super::context::ActivityContext;
use super::endings::{handed_out, lost_to_shutdown, settle, timed_out, until_later, with_details};
use super::entry::ActivityEntry;
use super::gate::Gates;
use super::heartbeat::Beats;
use super::info::AttemptInfo;
pub(crate) use super::limits::Limits;
use super::publisher::{Outlet, Publishes};
pub(crate) use super::running::ReportFn;
use super::running::Running;
use super::transaction::{self, Transactions};
use super::waits::Waits;
use super::warn::{Samples, is_blocked, warned};
use crate::store::TaskKey;
use abide_core::exec::AttemptOutcome;
use abide_core::{Code, Payload, TimeoutKind};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
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
    /// Its heartbeats.
    pub(crate) beats: Arc<Beats>,
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
    gates: Gates,
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
    pub(crate) fn new(slots: usize, gates: Gates, lease: Duration, shows_values: bool) -> Self {
        let inner = Inner {
            gates,
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
        let free = match inner.gates.has(attempt.entry.name()) {
            true => None,
            false => Arc::clone(&inner.slots).try_acquire_owned().ok(),
        };
        match free {
            Some(slot) => inner.start(attempt, token, Slot::new(slot)),
            None => {
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
            slot = Arc::clone(&self.inner.slots).acquire_owned() => slot.ok().map(Slot::new),
        };
        // In addition to the first slot, which is already taken.
        let most = if own { most.min(1 + self.inner.slots.available_permits() / 2) } else { most };
        let free = || Arc::clone(&self.inner.slots).try_acquire_owned().ok().map(Slot::new);
        first
            .into_iter()
            .flat_map(|first| std::iter::once(first).chain(std::iter::from_fn(free)))
            .take(most)
            .collect()
    }

    /// The limits of single activities.
    pub(crate) fn gates(&self) -> &Gates {
        &self.inner.gates
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
    async fn wait_for_slot(&self, attempt: Attempt, token: &CancellationToken) -> Option<(Attempt, Slot)> {
        let limit = attempt.limits.waiting();
        let slot = async {
            let pass = self.gates.pass(attempt.entry.name()).await;
            let _queued = self.waits.queued(attempt.entry.name(), &attempt.info);
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            Some(Slot::new(slot).with(pass))
        };
        let outcome = tokio::select! {
            biased;
            () = self.stopping.cancelled() => return None,
            () = token.cancelled() => AttemptOutcome::Cancelled,
            slot = slot => return slot.map(|slot| (attempt, slot)),
            kind = ran_out(limit) => timed_out(attempt.entry.name(), kind),
        };
        (attempt.report)(outcome.into());
        None
    }

    /// Starts the body in its own task.
    fn start(self: Arc<Self>, attempt: Attempt, token: CancellationToken, slot: Slot) {
        let Attempt { entry, info, input, limits, transactions, beats, outlet, task, report } = attempt;
        let (key, name) = (self.next.fetch_add(1, Ordering::Relaxed), entry.name());
        let (limit, ends_at) = (limits.running(), limits.attempt_ends());
        let report = with_details(report, Arc::clone(&beats));
        let running = Running::new(name, Arc::clone(&info.workflow_id), token.clone(), report);
        let running = Arc::new(running);
        let span = span(name, &info);
        let slots = self.waits.slot(key);
        let publishes = Publishes::of(outlet, info.attempt, entry.database().is_some());
        let context =
            ActivityContext::new(info, name, limit.map(|(at, _)| at), token).publishing(publishes.clone());
        let context = context.in_slot(slots).showing_values(self.shows_values).of_task(task);
        let context = context.beating(Arc::clone(&beats), self.stopping.clone());
        let later = Arc::clone(context.later());
        let unbounded = limit.is_none() && !beats.is_limited();
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
        let (published, told) = (publishes.clone(), Arc::clone(&beats));
        let entered = Entered { inner: Arc::clone(&self), key, running: Arc::clone(&running) };
        let body = tokio::spawn(async move {
            let (needs, running) = (entry.database(), &entered.running);
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
            let run = running.polls.count(run.instrument(span));
            let ended = until_later(run, &later, || handed_out(name, task, ends_at, &told)).await;
            published.close().await;
            running.give(settle(ended, running));
        });
        running.runs_in(body.abort_handle());
        if !unbounded {
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    _ = body => {}
                    kind = given_up(limit, &beats) => {
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

fn span(name: &str, info: &AttemptInfo) -> tracing::Span {
    tracing::info_span!(
        target: "abide::activity",
        "activity",
        activity = name,
        workflow_id = &*info.workflow_id,
        run_id = &*info.run_id,
        attempt = info.attempt,
    )
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

/// Resolves when the limit runs out, or when the attempt was silent for too long.
async fn given_up(limit: Option<(Instant, TimeoutKind)>, beats: &Beats) -> TimeoutKind {
    tokio::select! {
        biased;
        kind = ran_out(limit) => kind,
        () = beats.silent() => TimeoutKind::Heartbeat,
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
