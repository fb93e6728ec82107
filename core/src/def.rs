//! What the attributes make of a user's functions: definitions that the executor and the runtime can drive.
//!
//! The macros implement [`ActivityDef`] and [`WorkflowDef`]; a call (`charge(p)`, `OrderWorkflow::run(o)`) is a value
//! that carries its definition as a type, so one function item serves calls, starts and registration.

use crate::FailureRecord;
use crate::flow::activity::ActivityCall;
use crate::graph::FnGraph;
use crate::guard::{Seal, WorkflowFuture};
use crate::outcome::{Arguments, Outcome, Sel};
use crate::payload::{Payload, PayloadError};
use crate::policy::ActivityOptions;
use crate::state::Slot;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A boxed future that need not be `Send`: workflow code stays on one thread.
pub type LocalBoxFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A kind of database that a store is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// One file, by `sqlite://..`.
    Sqlite,
    /// A server, by `postgres://..`.
    Postgres,
    /// Tables in memory, for tests. It has no SQL.
    Memory,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
            Self::Memory => "an in-memory test database",
        })
    }
}

/// An activity, as its attribute defines it.
pub trait ActivityDef: Sized + 'static {
    /// Its name in history: `charge`, or `Payments.charge` for a method.
    const NAME: &'static str;
    /// The database whose transaction its body runs in (`transactional`). `None`: it runs in none of the engine's.
    const DATABASE: Option<Database> = None;
    /// Whether its body is a plain `fn`, which blocks its thread: it runs on the blocking pool, by [`ActivityDef::block`].
    const BLOCKING: bool = false;
    /// What the method is called on; `()` for a free function.
    type Host: Send + Sync + 'static;
    /// Its arguments, as a tuple.
    type Args: Arguments + Send;
    /// What it returns, as written.
    type Returned;
    /// What it returns, taken apart.
    type Outcome: Outcome<Returned = Self::Returned>;

    /// The defaults that its attribute sets.
    fn options() -> ActivityOptions {
        ActivityOptions::default()
    }

    /// Whether a retry may mend this error (`retry_if`).
    fn retryable(_error: &<Self::Outcome as Outcome>::Err) -> bool {
        true
    }

    /// How long this error asks to wait before the next attempt (`retry_after`).
    fn retry_after(_error: &<Self::Outcome as Outcome>::Err) -> Option<Duration> {
        None
    }

    /// Runs the user's body, if it is one that blocks.
    fn block(_host: &Self::Host, _args: Self::Args) -> Self::Returned {
        crate::outcome::never()
    }

    /// Runs the user's body.
    fn call(host: &Self::Host, args: Self::Args) -> impl Future<Output = Self::Returned> + Send;
}

/// A function that calls an activity: what `.activity(charge)` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an activity",
    label = "not an activity",
    note = "mark the function with `#[activity]`",
    note = "pass the function itself, `charge`, not a call, `charge(..)`; register methods by their value, `.activities(payments)`, and workflows with `.workflow(..)`"
)]
pub trait ActivityFn<Args> {
    /// The activity.
    type Def: ActivityDef<Host = ()>;
}

/// A function that calls an activity, a method's included: what `abide::testing::mock` takes.
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

/// A function that starts a workflow: what `.workflow(OrderWorkflow::run)` takes.
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

/// A type whose methods are activities: what `.activities(Payments { .. })` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no activities",
    label = "no `#[activity]` impl",
    note = "mark its `impl` block with `#[activity]`; a free function goes to `.activity(charge)`"
)]
pub trait Activities: Send + Sync + Sized + 'static {
    /// Hands each of its activities to `registry`.
    fn register<R: ActivityRegistry<Self>>(registry: &mut R);
}

/// Takes the activities of a host, one by one.
pub trait ActivityRegistry<H> {
    /// Adds one.
    fn add<D: ActivityDef<Host = H>>(&mut self);
}

/// How a signal is delivered to the state `S`. The payload is the tuple of its arguments.
pub enum SignalFn<S> {
    /// A plain `fn`: runs in place.
    Sync(fn(&mut S, &Payload) -> Result<(), PayloadError>),
    /// An `async fn`: gives a task of its own.
    Async(fn(&S, &Payload) -> Result<LocalBoxFuture<()>, PayloadError>),
}

/// How a query is answered from the state `S`: `Err` where its arguments do not decode or its answer does not encode.
pub type QueryFn<S> = fn(&S, &Payload) -> Result<Result<Payload, FailureRecord>, PayloadError>;

/// A workflow, as its attribute defines it.
pub trait WorkflowDef: Sized + 'static {
    /// Its type's name in history.
    const NAME: &'static str;
    /// The state its handlers share with `run`; `()` for a free function.
    type State: 'static;
    /// The arguments of `run`, as a tuple.
    type Args: Arguments;
    /// What `run` returns, as written.
    type Returned;
    /// What `run` returns, taken apart.
    type Outcome: Outcome<Returned = Self::Returned>;
    /// The await points of each of its functions and the control flow between them.
    const GRAPHS: &'static [FnGraph] = &[];

    /// Whether its state is made from its input (`#[init]`), by [`WorkflowDef::init_with`].
    const FROM_INPUT: bool = false;

    /// The state before anything is delivered, where it is the same for every input.
    fn init() -> Self::State {
        crate::outcome::never()
    }

    /// The state before anything is delivered, made from the arguments of `run`.
    fn init_with(_args: Self::Args) -> Self::State {
        crate::outcome::never()
    }

    /// The user's `run`.
    fn run(slot: Slot<Self::State>, args: Self::Args) -> impl Future<Output = Self::Returned> + 'static;

    /// The handler of a signal.
    fn signal(_name: &str) -> Option<SignalFn<Self::State>> {
        None
    }

    /// The handler of a query.
    fn query(_name: &str) -> Option<QueryFn<Self::State>> {
        None
    }

    /// The signals it handles.
    fn signal_names() -> &'static [&'static str] {
        &[]
    }

    /// The queries it answers.
    fn query_names() -> &'static [&'static str] {
        &[]
    }
}

/// A call of a workflow, to be started by a client. Its input is encoded at once, so that it is `Send` whatever its
/// arguments are; an input that cannot be encoded is told by the start.
#[must_use = "a workflow call does nothing until a client starts it"]
pub struct WorkflowCall<W> {
    input: Result<Payload, PayloadError>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> WorkflowCall<W> {
    /// Encodes the arguments.
    pub fn new(args: &W::Args) -> Self {
        Self { input: args.encode(), workflow: PhantomData }
    }

    /// The encoded arguments.
    pub fn into_input(self) -> Result<Payload, PayloadError> {
        self.input
    }
}

/// A workflow whose call can be awaited: none yet. It is here for its words.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a call of the workflow `{Self}` cannot be awaited: child workflows come in a later version",
    label = "this names a run, and nothing runs it",
    note = "a client starts it, in an `#[activity]` too: `client.start(report(day)).await?`; its handle has the `result()`",
    note = "what two workflows share, with its awaits, is an `async fn` marked `#[workflow::helper]`",
    note = "AB0117, explained by `cargo abide explain AB0117`"
)]
pub trait ChildWorkflow: WorkflowDef {}

#[diagnostic::do_not_recommend]
impl ChildWorkflow for NoChild {}

/// The one that there is: without it rustc would propose to write one.
#[doc(hidden)]
pub enum NoChild {}

impl WorkflowDef for NoChild {
    const NAME: &'static str = "";
    type State = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn run(_: Slot<()>, (): ()) {}
}

/// What a child workflow would give, for code that never runs.
#[doc(hidden)]
pub fn no_child<W: WorkflowDef>(_: WorkflowCall<W>) -> impl WorkflowFuture<Output = W::Returned> {
    crate::guard::later()
}

impl<W: ChildWorkflow> Future for WorkflowCall<W> {
    type Output = W::Returned;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<W::Returned> {
        Poll::Pending
    }
}

impl<W: ChildWorkflow> WorkflowFuture for WorkflowCall<W> {
    fn clones_waker(&self, _: Seal) -> bool {
        false
    }
}
