//! Combinators of the `futures` crate that workflows may use. They only combine the engine's own futures.
//!
//! Combinators that give their children wakers of their own clone the outer waker by design. They are marked.

use crate::code::Code;
use crate::exec::context;
use crate::guard::{Seal, WorkflowFuture, engine_future};
use futures_util::TryFuture;
use futures_util::future::{self, Join, JoinAll, Ready, SelectAll, TryJoinAll};
use futures_util::stream::{self, FuturesOrdered, FuturesUnordered, Stream};
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
cloning_future!(['a, S] stream::Next<'a, S> where S: WorkflowStream + Unpin + ?Sized);
cloning_future!(['a, S] stream::TryNext<'a, S> where S: WorkflowStream + Unpin + ?Sized, Self: Future);
cloning_future!([F] SelectAll<F> where F: WorkflowFuture + Unpin);
cloning_future!([A, B] Join<A, B> where A: WorkflowFuture, B: WorkflowFuture);
cloning_future!([T] Ready<T> where T: Sized);
cloning_future!([T] std::future::Ready<T> where T: Sized);

/// Futures that wait only for their child futures. The children are workflow futures, which may clone wakers,
/// so they get the permit.
macro_rules! futures_over {
    ($([$($child:ident)*; $($other:ident)*] $ty:ty;)*) => {
        $(cloning_future!([$($child,)* $($other),*] $ty where $($child: WorkflowFuture,)* Self: Future);)*
    };
}

futures_over! {
    [A B; F] future::Then<A, B, F>;
    [A; F] future::Map<A, F>;
    [A; F] future::Inspect<A, F>;
    [A;] future::Fuse<A>;
    [A B;] future::Either<A, B>;
    [A B C;] future::Join3<A, B, C>;
    [A B C D;] future::Join4<A, B, C, D>;
    [A B C D E;] future::Join5<A, B, C, D, E>;
    [A B; F] future::AndThen<A, B, F>;
    [A B; F] future::OrElse<A, B, F>;
    [A; F] future::MapOk<A, F>;
    [A; F] future::MapErr<A, F>;
    [A; F G] future::MapOkOrElse<A, F, G>;
    [A; F] future::UnwrapOrElse<A, F>;
    [A; F] future::InspectOk<A, F>;
    [A; F] future::InspectErr<A, F>;
    [A; E] future::ErrInto<A, E>;
    [A; T] future::OkInto<A, T>;
    [A;] future::OptionFuture<A>;
}

cloning_future!(
    [A, B] future::TryJoin<A, B>
    where A: WorkflowFuture + TryFuture, B: WorkflowFuture + TryFuture, Self: Future
);
cloning_future!([A, B, C] future::TryJoin3<A, B, C> where A: WorkflowFuture + TryFuture, B: WorkflowFuture + TryFuture,
    C: WorkflowFuture + TryFuture, Self: Future);

/// Futures that read a stream to its end. `B` is the output of their closures.
macro_rules! futures_of_streams {
    ($([$($future:ident)*; $($other:ident)*] $ty:ty;)*) => {
        $(cloning_future!(
            [S, $($future,)* $($other),*] $ty
            where S: WorkflowStream, $($future: WorkflowFuture,)* Self: Future
        );)*
    };
}

futures_of_streams! {
    [; C] stream::Collect<S, C>;
    [; C] stream::TryCollect<S, C>;
    [B; F] stream::ForEach<S, B, F>;
    [B; F] stream::ForEachConcurrent<S, B, F>;
    [B; F] stream::TryForEach<S, B, F>;
    [B; F] stream::TryForEachConcurrent<S, B, F>;
    [B; T F] stream::Fold<S, B, T, F>;
    [B; T F] stream::TryFold<S, B, T, F>;
    [B; F] stream::All<S, B, F>;
    [B; F] stream::Any<S, B, F>;
    [;] stream::Count<S>;
}

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> WorkflowFuture for Instrumented<F> {
    fn clones_waker(&self, seal: Seal) -> bool {
        self.inner().clones_waker(seal)
    }
}

/// A stream that waits only for workflow futures.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be awaited in a workflow",
    label = "not a stream of workflow futures",
    note = "streams of I/O or channels belong into an `#[activity]`; `FuturesUnordered`, `buffered` and \
            their kin over activity calls are fine"
)]
pub trait WorkflowStream: Stream {}

/// Streams that wait only for workflow futures and other such streams.
macro_rules! streams {
    ($([$($generics:tt)*] $ty:ty;)*) => {
        $(#[diagnostic::do_not_recommend] impl<$($generics)*> WorkflowStream for $ty where Self: Stream {})*
    };
}

streams! {
    [F: WorkflowFuture] FuturesUnordered<F>;
    [F: WorkflowFuture] FuturesOrdered<F>;
    [F: WorkflowFuture] stream::Once<F>;
    [I] stream::Iter<I>;
    [T] stream::Empty<T>;
    [S: WorkflowStream<Item: WorkflowFuture>] stream::Buffered<S>;
    [S: WorkflowStream<Item: WorkflowFuture>] stream::BufferUnordered<S>;
    [S: WorkflowStream, F] stream::Map<S, F>;
    [S: WorkflowStream, F] stream::MapOk<S, F>;
    [S: WorkflowStream, F] stream::MapErr<S, F>;
    [S: WorkflowStream, F] stream::Inspect<S, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::Then<S, B, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::AndThen<S, B, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::Filter<S, B, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::FilterMap<S, B, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::TakeWhile<S, B, F>;
    [S: WorkflowStream, B: WorkflowFuture, F] stream::SkipWhile<S, B, F>;
    [S: WorkflowStream] stream::Enumerate<S>;
    [S: WorkflowStream] stream::Take<S>;
    [S: WorkflowStream] stream::Skip<S>;
    [S: WorkflowStream] stream::Fuse<S>;
    [S: WorkflowStream] stream::Chunks<S>;
    [A: WorkflowStream, B: WorkflowStream] stream::Chain<A, B>;
    [A: WorkflowStream, B: WorkflowStream] stream::Zip<A, B>;
}

#[diagnostic::do_not_recommend]
impl<S: WorkflowStream + Unpin + ?Sized> WorkflowStream for &mut S {}
#[diagnostic::do_not_recommend]
impl<S: WorkflowStream + Unpin + ?Sized> WorkflowStream for Box<S> {}
#[diagnostic::do_not_recommend]
impl<P> WorkflowStream for Pin<P> where P: std::ops::DerefMut<Target: WorkflowStream> + Unpin {}

/// Awaits a future of your own that you know to be deterministic: it makes the same decisions on every replay
/// and waits only for workflow futures. `why` is for readers, and for tools that list all such places.
///
/// # Panics
/// If `why` is blank. In a marked function, an empty literal does not compile.
pub fn assume_deterministic<F: IntoFuture>(
    why: &'static str,
    future: F,
) -> AssumeDeterministic<F::IntoFuture> {
    assert!(
        super::allow::is_reason(why),
        "{}: `workflow::assume_deterministic` needs a reason: say why it makes the same choices on every \
         replay",
        Code::BadArgument
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
        let permit = ctx.bodies.outer_waker(cx);
        // It may clone the waker, as a combinator does. The guard checks that it registers a wait of the
        // engine.
        self.project().future.poll(&mut Context::from_waker(&permit))
    }
}

engine_future!([F: Future] AssumeDeterministic<F>);
