//! Tasks in a workflow: `workflow::spawn`, like `tokio::spawn`.

use crate::exec::context;
use crate::exec::spawned::TaskKind;
use crate::guard::{WorkflowFuture, engine_future};
use std::cell::RefCell;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Runs `future` concurrently with the caller, in the same execution and thread. If the handle is dropped,
/// the task goes on without it. The end of `run` drops it at its current await, or before its first poll if it was
/// spawned just before.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture + 'static,
    F::Output: 'static,
{
    let ctx = context::expect("workflow::spawn");
    ctx.refuse_in_query(format_args!("called `workflow::spawn`"));
    let shared = Rc::new(RefCell::new(Shared {
        result: None,
        ended: false,
        waker: None,
        aborted: false,
        abort_waker: None,
    }));
    let task = Task { future: Some(Box::pin(future.into_future())), shared: Rc::clone(&shared) };
    ctx.spawn(TaskKind::Spawned, Box::pin(task));
    JoinHandle { shared }
}

struct Shared<T> {
    /// The awaiting task takes it.
    result: Option<Result<T, JoinError>>,
    ended: bool,
    waker: Option<Waker>,
    aborted: bool,
    abort_waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn finish(&mut self, result: Result<T, JoinError>) {
        (self.result, self.ended) = (Some(result), true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Task<F: Future> {
    future: Option<Pin<Box<F>>>,
    shared: Rc<RefCell<Shared<F::Output>>>,
}

impl<F: WorkflowFuture> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.borrow().aborted {
            self.future = None;
            self.shared.borrow_mut().finish(Err(JoinError(())));
            return Poll::Ready(());
        }
        self.shared.borrow_mut().abort_waker = Some(cx.waker().clone());
        let Some(future) = self.future.as_mut() else { return Poll::Ready(()) };
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => {
                self.future = None;
                self.shared.borrow_mut().finish(Ok(value));
                Poll::Ready(())
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F: Future> Drop for Task<F> {
    /// The task was dropped before its end (the run was cancelled). Wakes the task that awaits the handle.
    fn drop(&mut self) {
        if self.future.is_some() {
            self.shared.borrow_mut().finish(Err(JoinError(())));
        }
    }
}

/// The handle of a spawned task. Await it for the result, or drop it to detach the task. If it is awaited
/// again by reference after it returned the result, the execution is suspended with `AB0218`; tokio's handle
/// panics.
pub struct JoinHandle<T> {
    shared: Rc<RefCell<Shared<T>>>,
}

impl<T> JoinHandle<T> {
    /// Drops the task's future at its current await. Awaiting the handle then returns [`JoinError`].
    pub fn abort(&self) {
        context::refuse_in_query(format_args!("aborted a task"));
        let mut shared = self.shared.borrow_mut();
        shared.aborted = true;
        if let Some(waker) = shared.abort_waker.take() {
            waker.wake();
        }
    }

    /// Whether the task has ended. Once true, it stays true.
    pub fn is_finished(&self) -> bool {
        self.shared.borrow().ended
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ctx = context::expect("a JoinHandle");
        let mut shared = self.shared.borrow_mut();
        match shared.result.take() {
            Some(result) => Poll::Ready(result),
            None if shared.ended && !ctx.halted() => context::polled_again("the handle of a task"),
            None => {
                shared.waker = Some(ctx.register(cx));
                Poll::Pending
            }
        }
    }
}

engine_future!([T] JoinHandle<T>);

/// The task was aborted, or dropped with its cancelled run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task was cancelled")]
pub struct JoinError(());
