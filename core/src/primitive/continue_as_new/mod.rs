//! Continue-as-new: a run ends, and another run of its chain goes on (PROTOCOL 59).
//!
//! The future never ends. A poll of it leaves in the context what the next run is. The executor looks there
//! after each poll, drops all tasks and closes the run.

pub(crate) mod again;
pub(crate) mod carry;
pub(crate) mod recorded;

use crate::def::WorkflowDef;
use crate::exec::context;
use crate::exec::suspension::Suspension;
use crate::guard::engine_future;
use crate::payload::{Payload, PayloadError};
use crate::primitive::child::WorkflowCall;
use again::Again;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Ends this run, and starts another run of the same workflow id in the same commit:
/// `return workflow::continue_as_new(Self::run(state)).await;`. The next run begins with an empty history.
///
/// The future never ends, and its output is what the next run returns. So its callers still get a value of the
/// same type. Everything of this run is dropped as on its completion: activities, timers, tasks, async
/// handlers that have not finished. What the next run must know goes into its arguments. Messages that this
/// run has not taken in go to the next run, and so do signals without a handler and a pending cancel request.
///
/// If compensations are registered, the run is suspended with `AB0616`. If there is more than 2 MiB to carry,
/// it is suspended with `AB0619`.
///
/// When to call it: [`Info::should_continue_as_new`](crate::flow::Info::should_continue_as_new).
pub fn continue_as_new<W: WorkflowDef>(next: WorkflowCall<W>) -> ContinueAsNew<W> {
    let ctx = context::expect("workflow::continue_as_new");
    ctx.refuse_in_query(format_args!("called `workflow::continue_as_new`"));
    ContinueAsNew { input: Some(next.into_input()), task_queue: None, delay: None, workflow: PhantomData }
}

/// See [`continue_as_new`].
#[must_use = "the run goes on until this is awaited: `return workflow::continue_as_new(..).await;`"]
pub struct ContinueAsNew<W> {
    /// Taken by the first poll.
    input: Option<Result<Payload, PayloadError>>,
    task_queue: Option<String>,
    delay: Option<Duration>,
    /// Not `Send`: it belongs to the run that made it.
    workflow: PhantomData<*const W>,
}

impl<W> ContinueAsNew<W> {
    /// The task queue of the next run, 1 to 1,000 characters. Default: that of this run.
    pub fn task_queue(mut self, queue: impl Into<String>) -> Self {
        self.task_queue = Some(queue.into());
        self
    }

    /// How long the next run waits before it begins. A message to it begins it at once. Default: 0. A run that
    /// lived for less than a second is followed by one that begins a second after its start.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }
}

impl<W: WorkflowDef> Future for ContinueAsNew<W> {
    type Output = W::Returned;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<W::Returned> {
        let ctx = context::expect("workflow::continue_as_new");
        match self.input.take() {
            Some(Ok(input)) => {
                let (task_queue, delay) = (self.task_queue.take(), self.delay);
                *ctx.tables.again.borrow_mut() =
                    Some(Again { workflow_type: W::NAME, task_queue, delay, input });
            }
            Some(Err(error)) => ctx.suspend(Suspension::new(error.code(), error.to_string()).at(ctx.site())),
            None => {}
        }
        ctx.bodies.note_wait();
        Poll::Pending
    }
}

engine_future!([W: WorkflowDef] ContinueAsNew<W>);

#[cfg(test)]
mod tests;
