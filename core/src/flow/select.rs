//! `workflow::select!`: the first of several futures. They are always polled in the written order. tokio
//! polls in a random order, which a replay could not repeat.
//!
//! As with tokio, a branch whose value does not match its pattern is disabled. The other branches are dropped
//! before the handler of the first ready one runs.

// The type parameters of a tuple are also the field names: `pin_project!` copies no attributes to its
// projections.
#![allow(non_snake_case)]

use crate::guard::{Checked, WorkflowFuture, check, engine_future, poll_child};
use pin_project_lite::pin_project;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// One branch: its future, until the branch is disabled, and a function that checks whether a value
    /// matches its pattern.
    #[doc(hidden)]
    pub struct Branch<F, P> {
        #[pin]
        future: Option<F>,
        matches: P,
    }
}

/// Makes one branch of a `select!`. `enabled` is its `if` condition.
#[doc(hidden)]
pub fn branch<F, P>(future: F, enabled: bool, matches: P) -> Branch<Checked<F::IntoFuture>, P>
where
    F: IntoFuture,
    F::IntoFuture: WorkflowFuture,
    P: FnMut(&<F::IntoFuture as Future>::Output) -> bool,
{
    let future = check(future);
    Branch { future: enabled.then_some(future), matches }
}

impl<F: WorkflowFuture, P: FnMut(&F::Output) -> bool> Branch<F, P> {
    /// `Ready(None)`: the branch is disabled.
    fn poll_branch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        match poll_child(future, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(value) => {
                this.future.set(None);
                Poll::Ready((this.matches)(&value).then_some(value))
            }
        }
    }
}

/// A tuple of branches.
#[doc(hidden)]
pub trait Branches {
    type Select;
    fn select(self) -> Self::Select;
}

/// The future that polls a tuple of branches.
#[doc(hidden)]
pub fn select<B: Branches>(branches: B) -> B::Select {
    branches.select()
}

macro_rules! arity {
    ($select:ident $selected:ident: $($f:ident $p:ident),+) => {
        pin_project! {
            #[doc(hidden)]
            #[allow(non_snake_case)]
            #[must_use = "futures do nothing unless you `.await` them"]
            pub struct $select<$($f, $p),+> { $(#[pin] $f: Branch<$f, $p>,)+ }
        }

        /// Which branch was ready first.
        #[doc(hidden)]
        pub enum $selected<$($f),+> {
            $($f($f),)+
            /// All branches are disabled.
            Nobody,
        }

        impl<$($f: WorkflowFuture, $p: FnMut(&$f::Output) -> bool),+> Future for $select<$($f, $p),+> {
            type Output = $selected<$($f::Output),+>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let this = self.project();
                let mut waiting = false;
                $(match this.$f.poll_branch(cx) {
                    Poll::Ready(Some(value)) => return Poll::Ready($selected::$f(value)),
                    Poll::Ready(None) => {}
                    Poll::Pending => waiting = true,
                })+
                if waiting { Poll::Pending } else { Poll::Ready($selected::Nobody) }
            }
        }

        engine_future!([$($f: WorkflowFuture, $p: FnMut(&$f::Output) -> bool),+] $select<$($f, $p),+>);

        #[diagnostic::do_not_recommend]
        impl<$($f, $p),+> Branches for ($(Branch<$f, $p>,)+) {
            type Select = $select<$($f, $p),+>;

            #[allow(non_snake_case)]
            fn select(self) -> Self::Select {
                let ($($f,)+) = self;
                $select { $($f),+ }
            }
        }
    };
}

arity!(Select1 Selected1: A PA);
arity!(Select2 Selected2: A PA, B PB);
arity!(Select3 Selected3: A PA, B PB, C PC);
arity!(Select4 Selected4: A PA, B PB, C PC, D PD);
arity!(Select5 Selected5: A PA, B PB, C PC, D PD, E PE);
arity!(Select6 Selected6: A PA, B PB, C PC, D PD, E PE, F PF);
arity!(Select7 Selected7: A PA, B PB, C PC, D PD, E PE, F PF, G PG);
arity!(Select8 Selected8: A PA, B PB, C PC, D PD, E PE, F PF, G PG, H PH);
arity!(Select9 Selected9: A PA, B PB, C PC, D PD, E PE, F PF, G PG, H PH, I PI);
arity!(Select10 Selected10: A PA, B PB, C PC, D PD, E PE, F PF, G PG, H PH, I PI, J PJ);
arity!(Select11 Selected11: A PA, B PB, C PC, D PD, E PE, F PF, G PG, H PH, I PI, J PJ, K PK);
arity!(Select12 Selected12: A PA, B PB, C PC, D PD, E PE, F PF, G PG, H PH, I PI, J PJ, K PK, L PL);

/// Panics because every branch of a `select!` without `else` is disabled.
#[doc(hidden)]
#[cold]
pub fn nobody() -> ! {
    panic!("all branches of `workflow::select!` are disabled or did not match, and it has no `else` branch")
}

/// Waits for the first of several futures and runs its handler: `pattern = future => handler`, as with
/// `tokio::select!`. It polls in the written order, so that a replay chooses the same branch.
///
/// ```text
/// workflow::select! {
///     receipt = charge(payment) => receipt?,
///     _ = workflow::sleep(hours(1)), if patient => return Err(OrderFailed::TooLate),
///     else => unreachable!(),
/// }
/// ```
/// It works in the body of a function marked with `#[workflow]` or `#[workflow::helper]`. Do not write
/// `.await`. The other branches are dropped before the handler runs, which cancels their activities and
/// timers.
#[macro_export]
#[doc(hidden)]
macro_rules! __select {
    (@abide $($expanded:tt)*) => { $($expanded)* };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "`workflow::select!` works in a function marked `#[workflow]` or `#[workflow::helper]`, written \
             out in its body\n\
             help: mark the function; inside another macro's arguments, write the `select!` outside of \
             them\nnote: AB0301, explained by `cargo abide explain AB0301`"
        )
    };
}

/// Waits until a condition on the workflow's state holds: `workflow::until!(self.approved.is_some()).await`.
///
/// It returns a future. `.timeout(days(3))` limits the wait and changes the output to `Result<(), Elapsed>`.
/// The condition is checked after each change of the state, and cannot change the state itself. If the future
/// is awaited again by reference, it checks again and is ready at once if the condition holds.
#[macro_export]
#[doc(hidden)]
macro_rules! __until {
    (@abide $($expanded:tt)*) => { $($expanded)* };
    ($($anything:tt)*) => {
        ::core::compile_error!(
            "`workflow::until!` works in a method of a workflow, written out in its body\n\
             help: it watches the workflow's state: write it, under its own name, in a method of the \
             `#[workflow]` impl\nnote: AB0301, explained by `cargo abide explain AB0301`"
        )
    };
}
