//! The wait for the handlers that are still under way: `workflow::handlers_finished()`.

use crate::exec::context;
use crate::guard::engine_future;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Waits until no async handler of this run is under way. The end of `run` drops handlers where they wait (`AB0628`);
/// await this before `run` returns, so that each of them finishes.
///
/// In a handler, it waits for the other handlers; two handlers that wait so for each other never end. A handler that
/// begins meanwhile is waited for, too.
pub fn handlers_finished() -> HandlersFinished {
    context::refuse_in_query(format_args!("waited for handlers"));
    HandlersFinished(())
}

/// See [`handlers_finished`].
#[must_use = "futures do nothing until they are awaited"]
pub struct HandlersFinished(());

impl Future for HandlersFinished {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let ctx = context::expect("workflow::handlers_finished");
        if ctx.has_other_handlers() {
            // The end of a task wakes those who wait for the state. A new handler alone cannot end this wait.
            ctx.wait_for_state(cx, false);
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

engine_future!([] HandlersFinished);
