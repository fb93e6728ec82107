//! The await guard. It makes a foreign await a compile error. If a foreign await gets past the compiler, the
//! guard reports it in the poll that reaches it (layers A and P of `docs/determinism.md`).
//!
//! Each async body (task, async block, helper) polls its futures with its own *strict* waker. The engine's
//! futures never clone it: they register the body's outer waker. A higher count of clones after a poll
//! therefore means that a future that the engine does not own waits there. Combinators that clone wakers by
//! design (such as `FuturesUnordered`) get the outer waker itself, the *permit*.

use crate::exec::context;
use crate::exec::suspension::Suspension;
use crate::exec::waker::Strict;
use crate::site::Site;
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that a workflow may await: abide's own futures, combinators over them, and functions with its
/// attributes.
///
/// The trait is sealed. Use `workflow::assume_deterministic` for another future that you know to be
/// deterministic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be awaited in a workflow",
    label = "not a workflow future: it is not recorded, so a replay cannot repeat it",
    note = "timer: `workflow::sleep(..)`; I/O, channel or task: an `#[activity]`; your own `async fn`: mark \
            it `#[workflow::helper]`",
    note = "a method of an `#[activity]` impl: call it by its type, `Payments::charge(..)`; a workflow: a \
            client starts it, in an activity too",
    note = "AB0117, explained by `cargo abide explain AB0117`"
)]
pub trait WorkflowFuture: Future {
    /// Whether a poll of it clones the waker by design. Only this crate can name the argument's type, so only
    /// this crate can implement the trait.
    #[doc(hidden)]
    fn clones_waker(&self, _: Seal) -> bool;
}

/// See [`WorkflowFuture::clones_waker`].
#[derive(Clone, Copy)]
pub struct Seal(pub(crate) ());

/// The common case: an engine future, which registers wakers by the engine's rules.
macro_rules! engine_future {
    ($(#[$meta:meta])* [$($generics:tt)*] $ty:ty $(where $($bounds:tt)*)?) => {
        $(#[$meta])*
        #[diagnostic::do_not_recommend]
        impl<$($generics)*> $crate::guard::WorkflowFuture for $ty $(where $($bounds)*)? {
            fn clones_waker(&self, _: $crate::guard::Seal) -> bool {
                false
            }
        }
    };
}
pub(crate) use engine_future;

pin_project! {
    /// A future that [`check`] accepted as a [`WorkflowFuture`]. The impl does not depend on `F`, so rustc
    /// refuses a foreign future only once, where it is written, and not again in the code around it.
    pub struct Checked<F> {
        #[pin]
        inner: F,
        clones_waker: fn(&F, Seal) -> bool,
    }
}

/// Refuses a foreign future at compile time.
pub fn check<F>(future: F) -> Checked<F::IntoFuture>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
{
    Checked { inner: future.into_future(), clones_waker: <F::IntoFuture as WorkflowFuture>::clones_waker }
}

impl<F: Future> Future for Checked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(cx)
    }
}

#[diagnostic::do_not_recommend]
impl<F: Future> WorkflowFuture for Checked<F> {
    fn clones_waker(&self, seal: Seal) -> bool {
        (self.clones_waker)(&self.inner, seal)
    }
}

pin_project! {
    /// One guarded await; made by [`guard`].
    pub struct Guard<F> {
        #[pin]
        inner: Checked<F>,
        site: &'static Site,
    }
}

/// Guards one await.
pub fn guard<F>(future: F, site: &'static Site) -> Guard<F::IntoFuture>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
{
    Guard { inner: check(future), site }
}

impl<F: Future> Future for Guard<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(ctx) = context::current() else { context::outside("an await") };
        ctx.enter_site(this.site);
        let before = ctx.bodies.before(cx);
        match poll_child(this.inner, cx) {
            Poll::Ready(value) => {
                ctx.watch.note_progress();
                ctx.enter_site(this.site);
                Poll::Ready(value)
            }
            Poll::Pending => {
                if ctx.bodies.is_foreign(cx, &before) && !ctx.halted() {
                    ctx.suspend(Suspension::foreign_await(this.site));
                }
                Poll::Pending
            }
        }
    }
}

engine_future!([F: Future] Guard<F>);

/// Polls a child of an engine combinator, which passes on its own waker.
pub(crate) fn poll_child<F: WorkflowFuture>(child: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    if !child.clones_waker(Seal(())) {
        return child.poll(cx);
    }
    let Some(ctx) = context::current() else { context::outside("a combinator") };
    let permit = ctx.bodies.outer_waker(cx);
    let polled = child.poll(&mut Context::from_waker(&permit));
    ctx.bodies.note_wait();
    polled
}

pin_project! {
    /// An async body (an `async` block, a helper, a task); made by [`block`].
    #[must_use = "futures do nothing until they are awaited"]
    pub struct Block<F> {
        #[pin]
        inner: F,
        strict: Strict,
    }
}

/// Makes an async body of abide's own. It gets a strict waker, and a workflow may await it.
pub fn block<F: Future>(future: F) -> Block<F> {
    Block { inner: future, strict: Strict::new() }
}

/// A future of any output, for code that never runs.
#[doc(hidden)]
pub fn later<T>() -> impl WorkflowFuture<Output = T> {
    block(async { crate::outcome::never() })
}

impl<F: Future> Future for Block<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(ctx) = context::current() else { context::outside("an async block of a workflow") };
        let _frame = ctx.bodies.enter(this.strict, cx);
        this.inner.poll(&mut Context::from_waker(this.strict.waker()))
    }
}

engine_future!([F: Future] Block<F>);

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture + Unpin + ?Sized> WorkflowFuture for &mut F {
    fn clones_waker(&self, seal: Seal) -> bool {
        (**self).clones_waker(seal)
    }
}

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture + Unpin + ?Sized> WorkflowFuture for Box<F> {
    fn clones_waker(&self, seal: Seal) -> bool {
        (**self).clones_waker(seal)
    }
}

#[diagnostic::do_not_recommend]
impl<P> WorkflowFuture for Pin<P>
where
    P: std::ops::DerefMut<Target: WorkflowFuture>,
{
    fn clones_waker(&self, seal: Seal) -> bool {
        (**self).clones_waker(seal)
    }
}
