//! Questions about types that the macros ask and rustc answers while it checks their expansion. Nothing here runs.
//!
//! A method that only exists where a bound holds shadows a trait's method that always exists; what the one or the other
//! gives is then refused or not. This works in generic code too, where a question of constants does not.
//!
//! * [`Owner`]: whose `self` a helper method has.
//! * [`Asked`]: whether what a query calls is something to wait for.

use crate::def::WorkflowDef;
use crate::guard::WorkflowFuture;
use std::marker::PhantomData;

/// Asks about `T`: [`Owner::whose`] is a [`WorkflowState`] where `T` is a workflow, else [`AnyValue::whose`] is found
/// and gives a [`PlainValue`]. In a generic `impl` too: no workflow is generic.
pub struct Owner<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Owner<T> {
    /// The question.
    #[allow(clippy::new_without_default)] // what a macro calls
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<W: WorkflowDef> Owner<W> {
    /// A workflow's state.
    pub fn whose(&self) -> WorkflowState<W> {
        WorkflowState(PhantomData)
    }
}

/// The answer for everything that is no workflow.
pub trait AnyValue {
    /// A plain value.
    fn whose(&self) -> PlainValue {
        PlainValue
    }
}

impl<T: ?Sized> AnyValue for Owner<T> {}

/// See [`Owner`].
pub struct WorkflowState<W>(PhantomData<W>);

/// See [`Owner`].
pub struct PlainValue;

/// What a helper method outside of a `#[workflow] impl` may belong to.
#[diagnostic::on_unimplemented(
    message = "`self` is a workflow's state here, which the awaits of its callers hand over",
    label = "the state of a workflow",
    note = "write `#[workflow::helper(state)]`, or move the method into the `#[workflow] impl`",
    note = "AB0301, explained by `cargo abide explain AB0301`"
)]
pub trait OnlyAValue {}

impl OnlyAValue for PlainValue {}

/// Refuses a workflow's state.
pub fn only_a_value<T: OnlyAValue>(_: T) {}

/// Asks about a value: [`Asked::what`] is [`ToBeAwaited`] where it is a workflow future, else [`AnyAnswer::what`] is
/// found and gives a [`PlainValue`].
pub struct Asked<T>(PhantomData<T>);

impl<T> Asked<T> {
    /// About the type of this value.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

impl<F: WorkflowFuture> Asked<F> {
    /// A workflow future.
    pub fn what(&self) -> ToBeAwaited<F> {
        ToBeAwaited(PhantomData)
    }
}

/// The answer for everything that is no workflow future.
pub trait AnyAnswer {
    /// A plain value.
    fn what(&self) -> PlainValue {
        PlainValue
    }
}

impl<T> AnyAnswer for Asked<T> {}

/// See [`Asked`].
pub struct ToBeAwaited<F>(PhantomData<F>);

/// What a query may call.
#[diagnostic::on_unimplemented(
    message = "a query cannot run activities, timers or tasks: it is answered at once, from the state",
    label = "something to be awaited, which nobody does",
    note = "what runs activities is a `#[signal]` or `run`: let it keep the result in the state, and answer from there",
    note = "AB0303, explained by `cargo abide explain AB0303`"
)]
pub trait InAQuery {}

impl InAQuery for PlainValue {}

/// Refuses a workflow future.
pub fn only_in_a_query<T: InAQuery>(_: T) {}
