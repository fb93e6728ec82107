//! Blocking bodies: each runs on the blocking pool, with its attempt's context, and keeps its slot until it
//! returns.
//!
//! The attempt's task waits for the body. If a limit or a shutdown drops that task, the thread runs on,
//! because a thread cannot be stopped; its result is then discarded. A panic of the body continues in the
//! task, where it is caught like that of any other body.

use super::context::{CURRENT, context};
use super::gate::Pass;
use abide_core::exec::AttemptOutcome;
use std::cell::Cell;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

/// The right to run one attempt. Dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct Slot {
    _slot: OwnedSemaphorePermit,
    /// That of its activity's gate, if that has one.
    _pass: Option<Pass>,
}

impl Slot {
    pub(super) fn new(slot: OwnedSemaphorePermit) -> Self {
        Self { _slot: slot, _pass: None }
    }

    /// With the right that its activity's gate has given.
    pub(crate) fn with(self, pass: Option<Pass>) -> Self {
        Self { _pass: pass, ..self }
    }
}

tokio::task_local! {
    /// The slot of the attempt that runs in this task.
    pub(super) static SLOT: Cell<Option<Slot>>;
}

/// Aborts a body whose attempt ends while the body waits for a thread: another attempt may have begun.
struct NotBegun(AbortHandle);

impl Drop for NotBegun {
    fn drop(&mut self) {
        // This has no effect on a body that has begun.
        self.0.abort();
    }
}

#[cfg(feature = "testing")]
tokio::task_local! {
    /// Enters a test's simulated process on the body's thread, in addition to its context. Dropping the
    /// returned value leaves the process.
    pub(crate) static ENTER: std::sync::Arc<dyn Fn() -> Box<dyn std::any::Any> + Send + Sync>;
}

#[cfg(feature = "testing")]
fn entered<T>(body: impl FnOnce() -> T + Send + 'static) -> impl FnOnce() -> T + Send + 'static {
    let enter = ENTER.try_with(std::sync::Arc::clone).ok();
    move || {
        let _entered = enter.map(|enter| enter());
        body()
    }
}

/// Runs the body on a thread that may block. The slot moves to that thread and comes back with the outcome:
/// the body may outlive its attempt.
pub(super) async fn run(body: impl FnOnce() -> AttemptOutcome + Send + 'static) -> AttemptOutcome {
    #[cfg(feature = "testing")]
    let body = entered(body);
    let (context, slot) = (context(), SLOT.try_with(Cell::take).ok().flatten());
    let span = tracing::Span::current();
    let ran =
        tokio::task::spawn_blocking(move || (span.in_scope(|| CURRENT.sync_scope(context, body)), slot));
    let _waits = NotBegun(ran.abort_handle());
    match ran.await {
        Ok((outcome, slot)) => {
            // Outside of an attempt there is no slot.
            let _ = SLOT.try_with(|own| own.set(slot));
            outcome
        }
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and this task with it. The body has not begun.
            Err(_) => std::future::pending().await,
        },
    }
}
