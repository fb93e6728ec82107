//! Cancellation in workflow code: `shielded` and `cancelled`.

pub(crate) mod table;

use crate::exec::context::{self, Context as Shared};
use crate::guard::{WorkflowFuture, engine_future, poll_child};
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Finishes `future` even if the workflow is cancelled during it. The task is then dropped right after it.
/// Use it for steps that belong together, such as a charge and its record. If it is awaited again by
/// reference after its end, the execution is suspended with `AB0218`.
pub fn shielded<F>(future: F) -> Shielded<F::IntoFuture>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
{
    Shielded { future: future.into_future(), shield: None, stage: Stage::Running }
}

pin_project! {
    /// See [`shielded`].
    #[must_use = "futures do nothing until they are awaited"]
    pub struct Shielded<F> {
        #[pin]
        future: F,
        shield: Option<Shield>,
        stage: Stage,
    }
}

enum Stage {
    Running,
    /// Its value was taken.
    Ended,
    /// It ended after the workflow was cancelled. The executor drops its task.
    Dropped,
}

/// While it exists, its task counts as being in one more shielded block.
struct Shield {
    ctx: Rc<Shared>,
    task: usize,
}

impl Shield {
    fn leave(self) -> bool {
        let (ctx, task) = (Rc::clone(&self.ctx), self.task);
        drop(self);
        ctx.tables.cancellation.borrow().is_ripe(task)
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        self.ctx.tables.cancellation.borrow_mut().unshield(self.task);
    }
}

impl<F: WorkflowFuture> Future for Shielded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let ctx = context::expect("workflow::shielded");
        match this.stage {
            Stage::Running => {}
            Stage::Ended if !ctx.halted() => context::polled_again("a `workflow::shielded`"),
            Stage::Ended | Stage::Dropped => {
                ctx.bodies.note_wait();
                return Poll::Pending;
            }
        }
        if this.shield.is_none() {
            let task = ctx.task();
            ctx.tables.cancellation.borrow_mut().shield(task);
            *this.shield = Some(Shield { ctx: Rc::clone(&ctx), task });
        }
        let Poll::Ready(value) = poll_child(this.future, cx) else { return Poll::Pending };
        match this.shield.take().is_some_and(Shield::leave) {
            // The workflow was cancelled during the block. The executor drops this task right after the poll.
            true => {
                *this.stage = Stage::Dropped;
                ctx.bodies.note_wait();
                Poll::Pending
            }
            false => {
                *this.stage = Stage::Ended;
                Poll::Ready(value)
            }
        }
    }
}

engine_future!([F: WorkflowFuture] Shielded<F>);

/// Waits for a cancel request and returns its reason. From this call on, the workflow handles cancellation
/// itself: a request drops no task and is delivered only here, and the workflow may still complete.
///
/// Each call waits for the request after the last returned one. A request between two calls is not lost: the
/// next call returns it at once. Calls that wait at the same time return the same request. If the future is
/// awaited again by reference, it returns its reason again.
pub fn cancelled() -> Cancelled {
    let ctx = context::expect("workflow::cancelled");
    ctx.refuse_in_query(format_args!("called `workflow::cancelled`"));
    let request = ctx.tables.cancellation.borrow_mut().listen();
    Cancelled { request }
}

/// See [`cancelled`].
#[must_use = "futures do nothing until they are awaited"]
pub struct Cancelled {
    /// The number of the request, from 0.
    request: usize,
}

impl Future for Cancelled {
    type Output = String;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<String> {
        let ctx = context::expect("workflow::cancelled");
        let waker = ctx.register(cx);
        let mut cancellation = ctx.tables.cancellation.borrow_mut();
        match cancellation.give(self.request) {
            Some(reason) => Poll::Ready(reason.to_owned()),
            None => {
                cancellation.add_listener(waker);
                Poll::Pending
            }
        }
    }
}

engine_future!([] Cancelled);
