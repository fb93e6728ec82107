//! Combinators of the `futures` crate that workflows may use: they only arrange the engine's own futures.
//!
//! Those that give their children wakers of their own clone the outer waker by design, and say so.

use crate::exec::context;
use crate::guard::{Seal, WorkflowFuture, engine_future};
use futures_util::TryFuture;
use futures_util::future::{Join, JoinAll, Map, Ready, SelectAll, TryJoinAll};
use futures_util::stream::{
    BufferUnordered, Buffered, Collect, FuturesOrdered, FuturesUnordered, Iter, Map as StreamMap, Next,
    Stream,
};
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use tracing::instrument::Instrumented;

macro_rules! cloning_future {
    ([$($generics:tt)*] $ty:ty where $($bounds:tt)*) => {
        #[diagnostic::do_not_recommend]
        impl<$($generics)*> WorkflowFuture for $ty where $($bounds)* {
            fn clones_waker(&self, _: Seal) -> bool {
                true
            }
        }
    };
}

cloning_future!([F] JoinAll<F> where F: WorkflowFuture);
cloning_future!([F] TryJoinAll<F> where F: WorkflowFuture + TryFuture);
cloning_future!(['a, S] Next<'a, S> where S: WorkflowStream + Unpin + ?Sized);
cloning_future!([S, C] Collect<S, C> where S: WorkflowStream, C: Default + Extend<S::Item>);
#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> WorkflowFuture for Instrumented<F> {
    fn clones_waker(&self, seal: Seal) -> bool {
        self.inner().clones_waker(seal)
    }
}

engine_future!([F] SelectAll<F> where F: WorkflowFuture + Unpin);
engine_future!([A, B] Join<A, B> where A: WorkflowFuture, B: WorkflowFuture);
engine_future!([A, F, T] Map<A, F> where A: WorkflowFuture, F: FnOnce(A::Output) -> T);
cloning_future!([T] Ready<T> where T: Sized);

/// A stream that only arranges workflow futures.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be awaited in a workflow",
    label = "not a stream of workflow futures",
    note = "streams of I/O or channels belong into an `#[activity]`; `FuturesUnordered`, `buffered` and their kin over activity calls are fine"
)]
pub trait WorkflowStream: Stream {}

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> WorkflowStream for FuturesUnordered<F> {}
#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> WorkflowStream for FuturesOrdered<F> {}
#[diagnostic::do_not_recommend]
impl<I: Iterator> WorkflowStream for Iter<I> {}
#[diagnostic::do_not_recommend]
impl<S: WorkflowStream, F: FnMut(S::Item) -> T, T> WorkflowStream for StreamMap<S, F> {}
#[diagnostic::do_not_recommend]
impl<S: WorkflowStream<Item: WorkflowFuture>> WorkflowStream for Buffered<S> {}
#[diagnostic::do_not_recommend]
impl<S: WorkflowStream<Item: WorkflowFuture>> WorkflowStream for BufferUnordered<S> {}

/// Awaits a future of your own that you know to be deterministic: it makes the same choices on every replay and
/// waits for nothing but workflow futures. `why` is for the reader, and for tools that list all such places.
///
/// # Panics
/// Where `why` says nothing. In a marked function an empty literal does not compile.
pub fn assume_deterministic<F: IntoFuture>(
    why: &'static str,
    future: F,
) -> AssumeDeterministic<F::IntoFuture> {
    assert!(
        super::allow::is_reason(why),
        "AB0304: `workflow::assume_deterministic` needs a reason: say why it makes the same choices on every replay"
    );
    AssumeDeterministic { future: future.into_future() }
}

pin_project! {
    /// See [`assume_deterministic`].
    #[must_use = "futures do nothing until they are awaited"]
    pub struct AssumeDeterministic<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for AssumeDeterministic<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let ctx = context::expect("workflow::assume_deterministic");
        let permit = ctx.outer_waker(cx);
        // It may clone the waker, as a combinator does, but some wait of the engine's must be under it: the guard asks.
        self.project().future.poll(&mut Context::from_waker(&permit))
    }
}

engine_future!([F: Future] AssumeDeterministic<F>);
