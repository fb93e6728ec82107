//! Whose `self` a helper method has: a question of types, asked by the expansion of `#[workflow::helper]` outside of a
//! `#[workflow] impl` and answered while rustc checks it. Nothing here runs.

use crate::def::WorkflowDef;
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
