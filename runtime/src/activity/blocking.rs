//! Bodies that block: each runs on the blocking pool, with its attempt's context, and keeps its slot until it returns.
//!
//! The attempt's task waits for it. Where a limit or a shutdown drops that task, the thread runs on, for nothing can end
//! one: what it returns then is nobody's. Its panics go on in the task, where they are caught as those of every body.

use super::context::{CURRENT, context};
use abide_core::exec::AttemptOutcome;
use std::cell::Cell;
use tokio::task::AbortHandle;

/// The right to run one attempt; given back when it is dropped.
pub(crate) type Slot = tokio::sync::OwnedSemaphorePermit;

tokio::task_local! {
    /// The slot of the attempt that runs in this task.
    pub(super) static SLOT: Cell<Option<Slot>>;
}

/// A body whose attempt ends while it waits for a thread never begins: another attempt may have.
struct NotBegun(AbortHandle);

impl Drop for NotBegun {
    fn drop(&mut self) {
        // Does nothing to one that has begun.
        self.0.abort();
    }
}

#[cfg(feature = "testing")]
tokio::task_local! {
    /// What a test's process takes to the body's thread, beside its context: it is there until what this gives is dropped.
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

/// Runs the body, on a thread that may block. The slot goes with it and comes back with its outcome: the body may
/// outlive its attempt.
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
            // Outside of an attempt there is none.
            let _ = SLOT.try_with(|own| own.set(slot));
            outcome
        }
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this task with it: the body has not begun.
            Err(_) => std::future::pending().await,
        },
    }
}
