//! The typed messages of a workflow. The macro generates one set of methods. A *route* says who sends: a
//! client, a start, a parent, or another workflow.

use crate::def::WorkflowDef;
use crate::payload::{Payload, PayloadError};
use std::ops::Deref;

/// A way by which messages reach a workflow, and what a send returns there.
pub trait Route: Sized + 'static {
    /// The value that the generated methods belong to.
    type Core<W: WorkflowDef>;
}

/// A route that signals can take.
pub trait SignalRoute: Route {
    /// What the method of a signal returns.
    type Signal<W: WorkflowDef>;

    /// For generated code: sends a signal.
    fn signal<W: WorkflowDef>(
        core: &Self::Core<W>,
        name: &'static str,
        input: Result<Payload, PayloadError>,
    ) -> Self::Signal<W>;
}

/// A workflow with typed methods for the route `R`. `#[workflow]` implements it for all routes at once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "name the type of its `#[workflow] impl`, or its function: `handle::<OrderWorkflow>(..)`, \
            `handle::<nightly_report>(..)`"
)]
pub trait Messages<R: Route>: WorkflowDef {
    /// Its signals, and what else can take this route, as methods.
    type Methods: Deref<Target = R::Core<Self>>;

    /// For generated code: makes the methods.
    fn methods(core: R::Core<Self>) -> Self::Methods;
}
