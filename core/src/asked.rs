//! Questions about types. The macros emit them and rustc answers them when it checks the expansion. No code
//! here runs.
//!
//! A method that exists only where a bound holds shadows a trait's method that always exists. The type that
//! the chosen method returns is then accepted or refused. This works in generic code too; a question asked by
//! constants does not.
//!
//! * [`Owner`]: the type of `self` in a helper method.
//! * [`Asked`]: whether the value that a query or an `#[init]` gets from a call must be awaited.
//! * [`DefaultState`], [`SameInput`]: where a workflow's state comes from.

use crate::def::WorkflowDef;
use crate::guard::WorkflowFuture;
use std::marker::PhantomData;

/// Asks about `T`. If `T` is a workflow, [`Owner::whose`] is found and returns a [`WorkflowState`]; otherwise
/// [`AnyValue::whose`] is found and returns a [`PlainValue`]. In a generic `impl` too, because no workflow is
/// generic.
pub struct Owner<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized> Owner<T> {
    /// Asks the question.
    #[allow(clippy::new_without_default)] // what a macro calls
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<W: WorkflowDef> Owner<W> {
    /// Returns the type that stands for a workflow's state.
    pub fn whose(&self) -> WorkflowState<W> {
        WorkflowState(PhantomData)
    }
}

/// The answer for every type that is not a workflow.
pub trait AnyValue {
    /// Returns the type that stands for a plain value.
    fn whose(&self) -> PlainValue {
        PlainValue
    }
}

impl<T: ?Sized> AnyValue for Owner<T> {}

/// See [`Owner`].
pub struct WorkflowState<W>(PhantomData<W>);

/// See [`Owner`].
pub struct PlainValue;

/// The owners of a helper method outside of a `#[workflow] impl`: every type except a workflow.
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

/// Asks about a value. If it is a workflow future, [`Asked::what`] is found and returns [`ToBeAwaited`];
/// otherwise [`AnyAnswer::what`] is found and returns a [`PlainValue`].
pub struct Asked<T>(PhantomData<T>);

impl<T> Asked<T> {
    /// Asks about the type of this value.
    pub fn of(_: &T) -> Self {
        Self(PhantomData)
    }
}

/// Types that are answered like a workflow future: workflow futures, and `()`. A call that never returns has
/// a value of any type. Only one impl of [`InAQuery`] then fits, and it makes that type `()`.
pub trait Waits {}

#[diagnostic::do_not_recommend]
impl<F: WorkflowFuture> Waits for F {}

#[diagnostic::do_not_recommend]
impl Waits for () {}

impl<F: Waits> Asked<F> {
    /// Returns the type that stands for a workflow future.
    pub fn what(&self) -> ToBeAwaited<F> {
        ToBeAwaited(PhantomData)
    }
}

/// The answer for every type that is not a workflow future.
pub trait AnyAnswer {
    /// Returns the type that stands for a plain value.
    fn what(&self) -> PlainValue {
        PlainValue
    }
}

impl<T> AnyAnswer for Asked<T> {}

/// See [`Asked`].
pub struct ToBeAwaited<F>(PhantomData<F>);

/// The values that a call in a query may return.
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

/// The values that a call in an `#[init]` may return.
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

/// The initial state of a workflow without an `#[init]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has neither `Default` nor an `#[init]`: there is no state to begin with",
    label = "a workflow's state",
    note = "derive it, where the state begins the same for every input: `#[derive(Default)]`",
    note = "or make the state from the input of `run`, in this `impl`: `#[init] fn new(order: Order) -> Self {{ .. }}`",
    note = "AB0315, explained by `cargo abide explain AB0315`"
)]
pub trait DefaultState {
    /// Returns the state.
    fn default_state() -> Self;
}

#[diagnostic::do_not_recommend]
impl<S: Default> DefaultState for S {
    fn default_state() -> Self {
        Self::default()
    }
}

/// The type of an argument of `#[init]`. `Run` is the type of the argument of `run` in the same place.
#[diagnostic::on_unimplemented(
    message = "`#[init]` takes `{Self}` where `#[run]` takes `{Run}`: both are given the workflow's input",
    label = "`#[run]` takes `{Run}`",
    note = "give both the same arguments, in the same order",
    note = "AB0318, explained by `cargo abide explain AB0318`"
)]
pub trait SameInput<Run> {
    /// Converts the argument of `run`.
    fn given(input: Run) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T> SameInput<T> for T {
    fn given(input: T) -> Self {
        input
    }
}

/// Every type implements this. A bound of it names a lifetime in the type of a helper's future.
pub trait Borrows<'a> {}

#[diagnostic::do_not_recommend]
impl<T: ?Sized> Borrows<'_> for T {}
