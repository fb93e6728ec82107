//! Waits for the workflow's own state: `workflow::until!(self.approved.is_some()).timeout(days(3)).await`.

use crate::exec::context;
use crate::guard::engine_future;
use crate::primitive::timer::{Timeout, timeout};
use crate::state::Slot;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The expansion of `until!`: waits until `predicate` holds for the state. It is checked at once, and each
/// time a body of the workflow made progress or a handler ran. If the future is awaited again by reference,
/// it checks again.
pub fn until<S: 'static, P: FnMut(&S) -> bool>(slot: &Slot<S>, predicate: P) -> Until<S, P> {
    Until { slot: slot.clone(), predicate, is_apart: false }
}

/// The same for a condition that does not name the state. A signal can change it only through a cell that
/// both share.
#[doc(hidden)]
pub fn until_apart<S: 'static, P: FnMut(&S) -> bool>(slot: &Slot<S>, predicate: P) -> Until<S, P> {
    Until { slot: slot.clone(), predicate, is_apart: true }
}

/// See [`until`].
#[must_use = "futures do nothing until they are awaited"]
pub struct Until<S, P> {
    slot: Slot<S>,
    predicate: P,
    is_apart: bool,
}

// It only calls the predicate and never pins it.
impl<S, P> Unpin for Until<S, P> {}

impl<S: 'static, P: FnMut(&S) -> bool> Until<S, P> {
    /// Stops waiting after `limit` with `Err(Elapsed)`.
    pub fn timeout(self, limit: Duration) -> Timeout<Self> {
        timeout(limit, self)
    }
}

impl<S: 'static, P: FnMut(&S) -> bool> Future for Until<S, P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ctx = context::expect("workflow::until!");
        let Self { slot, predicate, is_apart } = &mut *self;
        let looks = ctx.clock_looks();
        let holds = slot.with(predicate);
        let is_timeless = !*is_apart || ctx.clock_looks() == looks;
        match holds {
            Some(true) => Poll::Ready(()),
            // If another body has the state, its next await triggers another check.
            Some(false) | None => {
                ctx.wait_for_state(cx, is_timeless);
                Poll::Pending
            }
        }
    }
}

engine_future!([S: 'static, P: FnMut(&S) -> bool] Until<S, P>);
