//! `workflow::join!` and `workflow::try_join!`: several futures at once. Each poll polls them in the written
//! order, so that a replay makes their commands in the same order.
//!
//! The children are polled in place, with the waker of the join. A join needs no task and no allocation.

// The type parameters of a tuple are also the field names: `pin_project!` copies no attributes to its
// projections.
#![allow(non_snake_case)]

use crate::exec::context;
#[doc(hidden)]
pub use crate::guard::check;
use crate::guard::{Checked, WorkflowFuture, engine_future, poll_child};
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pin_project! {
    /// A child of a join. It is running, or done and waiting for the other children.
    #[project = ChildProj]
    #[project_replace = ChildTaken]
    enum Child<F: Future> {
        Running { #[pin] future: F },
        Done { value: F::Output },
        Taken,
    }
}

const JOIN: &str = "a `workflow::join!` or `try_join!`";

/// A child was polled after its value was taken: its join has ended.
fn again() -> bool {
    if context::is_halted() { false } else { context::polled_again(JOIN) }
}

impl<F: WorkflowFuture> Child<F> {
    /// Polls a running child. Returns whether it is done.
    fn poll_done(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let value = match self.as_mut().project() {
            ChildProj::Running { future } => match poll_child(future, cx) {
                Poll::Ready(value) => value,
                Poll::Pending => return false,
            },
            ChildProj::Done { .. } => return true,
            ChildProj::Taken => return again(),
        };
        self.set(Self::Done { value });
        true
    }

    fn take(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(Self::Taken) {
            ChildTaken::Done { value } => value,
            _ => context::polled_again(JOIN),
        }
    }
}

impl<T, E, F: WorkflowFuture<Output = Result<T, E>>> Child<F> {
    /// Polls a running child. Returns an error at once, and keeps a value. `Ok(true)` means done.
    fn poll_ok(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Result<bool, E> {
        if !self.as_mut().poll_done(cx) {
            return Ok(false);
        }
        match &*self {
            Self::Done { value: Err(_) } => match self.take() {
                Err(error) => Err(error),
                Ok(_) => Ok(true),
            },
            _ => Ok(true),
        }
    }

    fn take_ok(self: Pin<&mut Self>) -> T {
        match self.take() {
            Ok(value) => value,
            Err(_) => context::polled_again(JOIN),
        }
    }
}

pin_project! {
    /// An operand whose output [`try_check`] accepted as a `Result`. The impl does not depend on `F`, so
    /// rustc refuses another operand only once, where it is written.
    pub struct TryChecked<F: Future, T, E> {
        #[pin]
        inner: Checked<F>,
        result: fn(F::Output) -> Result<T, E>,
    }
}

/// Like [`check`], for the operands of `try_join!`.
pub fn try_check<F, T, E>(future: F) -> TryChecked<F::IntoFuture, T, E>
where
    F: IntoFuture<Output = Result<T, E>>,
    F::IntoFuture: WorkflowFuture,
{
    TryChecked { inner: check(future), result: std::convert::identity }
}

impl<F: Future, T, E> Future for TryChecked<F, T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        let this = self.project();
        poll_child(this.inner, cx).map(this.result)
    }
}

engine_future!([F: Future, T, E] TryChecked<F, T, E>);

/// A tuple of futures to join.
#[doc(hidden)]
pub trait Operands {
    type Join;
    type TryJoin;
    fn join(self) -> Self::Join;
    fn try_join(self) -> Self::TryJoin;
}

/// Which operand failed, with its error. All errors can convert into `First`, the error of the first operand.
#[doc(hidden)]
pub trait OneOf {
    type First;
    fn into_first(self) -> Self::First;
}

macro_rules! arity {
    ($join:ident $try_join:ident $one_of:ident: $first:ident $(, $rest:ident)*) => {
        arity!(@ $join $try_join $one_of; $first; $first $(, $rest)*; $($rest),*);
    };
    (@ $join:ident $try_join:ident $one_of:ident; $first:ident; $($f:ident),+; $($rest:ident),*) => {
        pin_project! {
            #[doc = "The future of `workflow::join!`."]
            #[allow(non_snake_case)]
            #[must_use = "futures do nothing unless you `.await` them"]
            pub struct $join<$($f: Future),+> { $(#[pin] $f: Child<$f>,)+ }
        }

        impl<$($f: WorkflowFuture),+> Future for $join<$($f),+> {
            type Output = ($($f::Output,)+);

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let mut this = self.project();
                let mut done = true;
                $(done &= this.$f.as_mut().poll_done(cx);)+
                if done { Poll::Ready(($(this.$f.take(),)+)) } else { Poll::Pending }
            }
        }

        engine_future!([$($f: WorkflowFuture),+] $join<$($f),+>);

        pin_project! {
            #[doc = "The future of `workflow::try_join!`, each operand with an error of its own."]
            #[allow(non_snake_case)]
            #[must_use = "futures do nothing unless you `.await` them"]
            pub struct $try_join<$($f: Future),+> { $(#[pin] $f: Child<$f>,)+ }
        }

        /// Which operand failed.
        #[doc(hidden)]
        pub enum $one_of<$($f),+> { $($f($f)),+ }

        impl<$first, $($rest: Into<$first>),*> OneOf for $one_of<$first, $($rest),*> {
            type First = $first;

            fn into_first(self) -> $first {
                match self {
                    Self::$first(error) => error,
                    $(Self::$rest(error) => error.into(),)*
                }
            }
        }

        impl<$($f: TryFuture),+> Future for $try_join<$($f),+> {
            type Output = Result<($($f::Ok,)+), $one_of<$($f::Error),+>>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let mut this = self.project();
                let mut done = true;
                $(match $f::poll_child(this.$f.as_mut(), cx) {
                    Ok(ready) => done &= ready,
                    Err(error) => return Poll::Ready(Err($one_of::$f(error))),
                })+
                if done { Poll::Ready(Ok(($($f::take_child(this.$f),)+))) } else { Poll::Pending }
            }
        }

        engine_future!([$($f: TryFuture),+] $try_join<$($f),+>);

        #[diagnostic::do_not_recommend]
        impl<$($f: Future),+> Operands for ($($f,)+) {
            type Join = $join<$($f),+>;
            type TryJoin = $try_join<$($f),+>;

            #[allow(non_snake_case)]
            fn join(self) -> Self::Join {
                let ($($f,)+) = self;
                $join { $($f: Child::Running { future: $f }),+ }
            }

            #[allow(non_snake_case)]
            fn try_join(self) -> Self::TryJoin {
                let ($($f,)+) = self;
                $try_join { $($f: Child::Running { future: $f }),+ }
            }
        }
    };
}

/// A future of a `Result` that names the two types.
#[doc(hidden)]
#[allow(private_interfaces)] // the methods are for this file alone
pub trait TryFuture: WorkflowFuture + Sized {
    type Ok;
    type Error;
    #[doc(hidden)]
    fn poll_child(child: Pin<&mut Child<Self>>, cx: &mut Context<'_>) -> Result<bool, Self::Error>;
    #[doc(hidden)]
    fn take_child(child: Pin<&mut Child<Self>>) -> Self::Ok;
}

#[diagnostic::do_not_recommend]
#[allow(private_interfaces)]
impl<T, E, F: WorkflowFuture<Output = Result<T, E>>> TryFuture for F {
    type Ok = T;
    type Error = E;

    fn poll_child(child: Pin<&mut Child<Self>>, cx: &mut Context<'_>) -> Result<bool, E> {
        child.poll_ok(cx)
    }

    fn take_child(child: Pin<&mut Child<Self>>) -> T {
        child.take_ok()
    }
}

arity!(Join1 TryJoin1 OneOf1: A);
arity!(Join2 TryJoin2 OneOf2: A, B);
arity!(Join3 TryJoin3 OneOf3: A, B, C);
arity!(Join4 TryJoin4 OneOf4: A, B, C, D);
arity!(Join5 TryJoin5 OneOf5: A, B, C, D, E);
arity!(Join6 TryJoin6 OneOf6: A, B, C, D, E, F);
arity!(Join7 TryJoin7 OneOf7: A, B, C, D, E, F, G);
arity!(Join8 TryJoin8 OneOf8: A, B, C, D, E, F, G, H);
arity!(Join9 TryJoin9 OneOf9: A, B, C, D, E, F, G, H, I);
arity!(Join10 TryJoin10 OneOf10: A, B, C, D, E, F, G, H, I, J);
arity!(Join11 TryJoin11 OneOf11: A, B, C, D, E, F, G, H, I, J, K);
arity!(Join12 TryJoin12 OneOf12: A, B, C, D, E, F, G, H, I, J, K, L);

/// Joins a tuple of futures.
#[doc(hidden)]
pub fn join<O: Operands>(operands: O) -> O::Join {
    operands.join()
}

/// Joins a tuple of futures of `Result`s. The result tells which one failed.
#[doc(hidden)]
pub fn try_join_each<O: Operands>(operands: O) -> O::TryJoin {
    operands.try_join()
}

/// Joins a tuple of futures of `Result`s. Every error is converted into the first operand's.
#[doc(hidden)]
pub fn try_join<O: Operands>(operands: O) -> TryJoin<O::TryJoin> {
    TryJoin { inner: operands.try_join() }
}

pin_project! {
    /// The future of `workflow::try_join!`.
    #[must_use = "futures do nothing unless you `.await` them"]
    pub struct TryJoin<F> { #[pin] inner: F }
}

impl<T, E: OneOf, F: Future<Output = Result<T, E>>> Future for TryJoin<F> {
    type Output = Result<T, E::First>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().inner.poll(cx)).map_err(OneOf::into_first))
    }
}

engine_future!([T, E: OneOf, F: WorkflowFuture<Output = Result<T, E>>] TryJoin<F>);

/// Waits for all of several futures at once: `let (a, b) = workflow::join!(first, second);`.
///
/// Like `tokio::join!`, it awaits by itself, so do not write `.await`. Use it in an async body marked with
/// `#[workflow]` or `#[workflow::helper]`. To make a future of it, write `async { workflow::join!(..) }`. It
/// takes 1 to 12 futures and polls them from first to last. If the number of futures is known only at run
/// time, use `futures::future::join_all`.
#[macro_export]
#[doc(hidden)]
macro_rules! __join {
    (@abide $($expanded:tt)*) => { $($expanded)* };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "`workflow::join!` awaits, so it works in an async function or block marked `#[workflow]` or \
             `#[workflow::helper]`, written out there under its own name\n\
             help: mark the function; for a future of it write `async { workflow::join!(..) }`; it takes no \
             `.await`\nnote: AB0301, explained by `cargo abide explain AB0301`"
        )
    };
}

/// Waits for all of several fallible futures at once, or for the first error, which drops the other futures:
/// `let (a, b) = workflow::try_join!(first, second)?;`.
///
/// Like `tokio::try_join!`, it awaits by itself, so do not write `.await`. Use it in an async body marked
/// with `#[workflow]` or `#[workflow::helper]`. It takes 1 to 12 futures. If `?` follows directly, it
/// converts each operand's error by itself, so the error types may differ. Without `?`, every error must
/// convert into the first operand's.
#[macro_export]
#[doc(hidden)]
macro_rules! __try_join {
    (@abide $($expanded:tt)*) => { $($expanded)* };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "`workflow::try_join!` awaits, so it works in an async function or block marked `#[workflow]` \
             or `#[workflow::helper]`, written out there under its own name\n\
             help: mark the function; for a future of it write `async { workflow::try_join!(..) }`; it \
             takes no `.await`\nnote: AB0301, explained by `cargo abide explain AB0301`"
        )
    };
}
