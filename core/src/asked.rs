//! Questions about types that the macros ask and rustc answers while it checks their expansion. Nothing here runs.
//!
//! A method that only exists where a bound holds shadows a trait's method that always exists; what the one or the other
//! gives is then refused or not. This works in generic code too, where a question of constants does not.
//!
//! * [`Owner`]: whose `self` a helper method has.
//! * [`Asked`]: whether what a query or an `#[init]` calls is something to wait for.
//! * [`DefaultState`], [`SameInput`]: where a workflow's state comes from.

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

/// What answers as a workflow future does: one, and `()`. A call that never returns has a value of any type; the one
/// impl of [`InAQuery`] that fits then makes it `()`.
pub trait Waits {}

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> Waits for F {}

#[diagnostic::do_not_recommend]
impl Waits for () {}

impl<F: Waits> Asked<F> {
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

#[diagnostic::do_not_recommend]
impl InAQuery for ToBeAwaited<()> {}

/// Refuses a workflow future.
pub fn only_in_a_query<T: InAQuery>(_: T) {}

/// What an `#[init]` may call.
#[diagnostic::on_unimplemented(
    message = "an `#[init]` cannot run activities, timers or tasks: it makes the state before the workflow begins",
    label = "something to be awaited, which nobody does",
    note = "let `run` await it, and keep the result in the state",
    note = "AB0319, explained by `cargo abide explain AB0319`"
)]
pub trait InAnInit {}

impl InAnInit for PlainValue {}

#[diagnostic::do_not_recommend]
impl InAnInit for ToBeAwaited<()> {}

/// Refuses a workflow future.
pub fn only_in_an_init<T: InAnInit>(_: T) {}

/// The state of a workflow without an `#[init]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has neither `Default` nor an `#[init]`: there is no state to begin with",
    label = "a workflow's state",
    note = "derive it, where the state begins the same for every input: `#[derive(Default)]`",
    note = "or make the state from the input of `run`, in this `impl`: `#[init] fn new(order: Order) -> Self {{ .. }}`",
    note = "AB0315, explained by `cargo abide explain AB0315`"
)]
pub trait DefaultState {
    /// The state.
    fn default_state() -> Self;
}

#[diagnostic::do_not_recommend]
impl<S: Default> DefaultState for S {
    fn default_state() -> Self {
        Self::default()
    }
}

/// The type of an argument of `#[init]`, with that of `run` in its place.
#[diagnostic::on_unimplemented(
    message = "`#[init]` takes `{Self}` where `#[run]` takes `{Run}`: both are given the workflow's input",
    label = "`#[run]` takes `{Run}`",
    note = "give both the same arguments, in the same order",
    note = "AB0318, explained by `cargo abide explain AB0318`"
)]
pub trait SameInput<Run> {
    /// What it is given.
    fn given(input: Run) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T> SameInput<T> for T {
    fn given(input: T) -> Self {
        input
    }
}

/// What everything does: a bound of it names a lifetime in the type of a helper's future.
pub trait Borrows<'a> {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Borrows<'_> for T {}
