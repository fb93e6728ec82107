//! Function items as arguments: `.activity(charge)`, `.workflow(OrderWorkflow::run)`.

use crate::def::{ActivityDef, WorkflowDef};
use crate::primitive::activity::ActivityCall;
use crate::primitive::child::WorkflowCall;

/// A function that calls an activity: the argument of `.activity(charge)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "not an activity",
    note = "mark the function with `#[activity]`",
    note = "pass the function itself, `charge`, not a call, `charge(..)`; register methods by their value, \
            `.activities(payments)`, and workflows with `.workflow(..)`"
)]
pub trait ActivityFn<Args> {
    /// The activity.
    type Def: ActivityDef<Host = ()>;
}

/// A function that calls an activity, also a method: the argument of `abide::testing::mock`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "not an activity",
    note = "mark the function with `#[activity]`, or the `impl` block of the method",
    note = "pass the function itself, `charge` or `Payments::charge`, not a call"
)]
pub trait AnyActivityFn<Args> {
    /// The activity.
    type Def: ActivityDef<Args = Args>;
}

/// A function that starts a workflow: the argument of `.workflow(OrderWorkflow::run)`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "mark the function, or the `impl` block of its `#[run]` method, with `#[workflow]`",
    note = "pass the function itself, `OrderWorkflow::run`, not a call; register activities with `.activity(..)`"
)]
pub trait WorkflowFn<Args> {
    /// The workflow.
    type Def: WorkflowDef;
}

macro_rules! callables {
    ($($name:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Fun, Def, $($name),*> ActivityFn<($($name,)*)> for Fun
        where Fun: Fn($($name),*) -> ActivityCall<Def>, Def: ActivityDef<Host = ()> {
            type Def = Def;
        }
        #[diagnostic::do_not_recommend]
        impl<Fun, Def, $($name),*> AnyActivityFn<($($name,)*)> for Fun
        where Fun: Fn($($name),*) -> ActivityCall<Def>, Def: ActivityDef<Args = ($($name,)*)> {
            type Def = Def;
        }
        #[diagnostic::do_not_recommend]
        impl<Fun, Def, $($name),*> WorkflowFn<($($name,)*)> for Fun
        where Fun: Fn($($name),*) -> WorkflowCall<Def>, Def: WorkflowDef {
            type Def = Def;
        }
    };
}
callables!();
callables!(A);
callables!(A B);
callables!(A B C);
callables!(A B C D);
callables!(A B C D E);
callables!(A B C D E F);
callables!(A B C D E F G);
callables!(A B C D E F G H);
