//! A started attempt, shared by its body, its limit, a shutdown and the checks for blocked threads.

use super::transaction::AttemptEnd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Receives an attempt's end, once. Must not block.
pub(crate) type ReportFn = Box<dyn FnOnce(AttemptEnd) + Send>;

/// One started attempt, until its body has actually ended.
pub(super) struct Running {
    pub(super) name: &'static str,
    pub(super) workflow_id: Arc<str>,
    pub(super) token: CancellationToken,
    pub(super) polls: Polls,
    /// Its worker has asked it to stop, for a shutdown or a lost lease.
    shutdown: AtomicBool,
    report: Mutex<Option<ReportFn>>,
    reported: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Running {
    pub(super) fn new(
        name: &'static str,
        workflow_id: Arc<str>,
        token: CancellationToken,
        report: ReportFn,
    ) -> Self {
        Self {
            name,
            workflow_id,
            token,
            polls: Polls::default(),
            shutdown: AtomicBool::new(false),
            report: Mutex::new(Some(report)),
            reported: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    /// Sets the task that runs its body.
    pub(super) fn runs_in(&self, task: AbortHandle) {
        // A second task would be a second body, which does not exist.
        let _ = self.task.set(task);
    }

    /// Reports its end, unless it was already reported.
    pub(super) fn give(&self, ended: impl Into<AttemptEnd>) {
        if let Some(report) = self.take_report() {
            report(ended.into());
            self.reported.store(true, Ordering::Release);
        }
    }

    /// Whether its end is still to be reported. This includes an end that is being reported: who waits for
    /// all reports must wait for that one too.
    pub(super) fn is_unreported(&self) -> bool {
        !self.reported.load(Ordering::Acquire)
    }

    fn take_report(&self) -> Option<ReportFn> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Asks the attempt to stop because its worker stops, unless its workflow has cancelled it before.
    pub(super) fn shut_down(&self) {
        if !self.token.is_cancelled() {
            self.shutdown.store(true, Ordering::Release);
            self.token.cancel();
        }
    }

    /// Whether its worker has asked it to stop, and not its workflow.
    pub(super) fn is_shut_down(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    /// Drops its body at the body's next await.
    pub(super) fn abort(&self) {
        self.task.get().into_iter().for_each(AbortHandle::abort);
    }

    /// Drops the attempt without a report.
    pub(super) fn abandon(&self) {
        drop(self.take_report());
        self.reported.store(true, Ordering::Release);
        self.abort();
    }
}

/// A counter that increases before and after each poll of a body. It is odd during a poll.
#[derive(Default)]
pub(super) struct Polls(AtomicU64);

impl Polls {
    /// Runs the body and counts its polls.
    pub(super) async fn count<F: Future>(&self, body: F) -> F::Output {
        let mut body = pin!(body);
        std::future::poll_fn(|context| {
            let _inside = self.inside();
            body.as_mut().poll(context)
        })
        .await
    }

    /// The number of the current poll, or `None` outside of a poll.
    pub(super) fn current(&self) -> Option<u64> {
        let count = self.0.load(Ordering::Relaxed);
        (count % 2 == 1).then_some(count)
    }

    /// Counts one poll. The poll also ends if the body panics.
    pub(super) fn inside(&self) -> impl Drop {
        struct Inside<'p>(&'p AtomicU64);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Code that waits for all reports must not continue while one is being made.
    #[test]
    fn an_end_is_told_once_its_report_has_returned() {
        let shared: Arc<OnceLock<Arc<Running>>> = Arc::default();
        let (within, seen) = (Arc::clone(&shared), Arc::new(AtomicBool::new(false)));
        let saw = Arc::clone(&seen);
        let report: ReportFn = Box::new(move |_| {
            saw.store(within.get().is_some_and(|it| it.is_unreported()), Ordering::Release)
        });
        let running = Arc::new(Running::new("act", Arc::from("w"), CancellationToken::new(), report));
        assert!(shared.set(Arc::clone(&running)).is_ok());
        running.give(abide_core::exec::AttemptOutcome::Cancelled);
        assert!(seen.load(Ordering::Acquire), "unreported while it is reported");
        assert!(!running.is_unreported());
    }

    #[test]
    fn a_poll_that_panics_has_ended() {
        let polls = Polls::default();
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
            let _ = pin!(polls.count(async { panic!("at the disco") })).poll(context);
        }));
        assert!(polled.is_err());
        assert_eq!((polls.current(), polls.0.into_inner()), (None, 2));
    }
}
