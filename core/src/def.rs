//! The definitions that the attributes generate from a user's functions. The executor and the runtime run
//! them.
//!
//! The macros implement [`ActivityDef`] and [`WorkflowDef`]. A call (`charge(p)`, `OrderWorkflow::run(o)`) is
//! a value that has its definition as a type, so one function item serves calls, starts and registration.

use crate::FailureRecord;
use crate::future::LocalBoxFuture;
use crate::graph::FnGraph;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Payload, PayloadError};
use crate::policy::ActivityOptions;
use crate::state::Slot;
use crate::update::UpdateFn;
use crate::workflow_options::WorkflowOptions;
use std::fmt;
use std::future::Future;
use std::time::Duration;

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
    /// The database whose transaction the body uses (`transactional`). `None`: the body uses no transaction
    /// of the engine.
    const DATABASE: Option<Database> = None;
    /// Whether its body is a plain `fn`, which blocks its thread. [`ActivityDef::block`] runs it on the
    /// blocking pool.
    const BLOCKING: bool = false;
    /// The type of the method's `self`; `()` for a free function.
    type Host: Send + Sync + 'static;
    /// Its arguments, as a tuple.
    type Args: Arguments + Send;
    /// Its return type, as written.
    type Returned;
    /// Its return type, split into value and error.
    type Outcome: Outcome<Returned = Self::Returned>;

    /// The defaults that its attribute sets.
    fn options() -> ActivityOptions {
        ActivityOptions::default()
    }

    /// Whether a retry may succeed after this error (`retry_if`).
    fn retryable(_error: &<Self::Outcome as Outcome>::Err) -> bool {
        true
    }

    /// The wait before the next attempt that this error asks for (`retry_after`).
    fn retry_after(_error: &<Self::Outcome as Outcome>::Err) -> Option<Duration> {
        None
    }

    /// Runs the user's body if it is a blocking one.
    fn block(_host: &Self::Host, _args: Self::Args) -> Self::Returned {
        crate::outcome::never()
    }

    /// Runs the user's body.
    fn call(host: &Self::Host, args: Self::Args) -> impl Future<Output = Self::Returned> + Send;
}

/// A type whose methods are activities: the argument of `.activities(Payments { .. })`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no activities",
    label = "no `#[activity]` impl",
    note = "mark its `impl` block with `#[activity]`; a free function goes to `.activity(charge)`"
)]
pub trait Activities: Send + Sync + Sized + 'static {
    /// Adds each of its activities to `registry`.
    fn register<R: ActivityRegistry<Self>>(registry: &mut R);
}

/// Receives the activities of a host, one by one.
pub trait ActivityRegistry<H> {
    /// Adds one activity.
    fn add<D: ActivityDef<Host = H>>(&mut self);
}

/// How a signal is delivered to the state `S`. The payload is the tuple of its arguments.
pub enum SignalFn<S> {
    /// A plain `fn`. It runs in place.
    Sync(fn(&mut S, &Payload) -> Result<(), PayloadError>),
    /// An `async fn`. Its future becomes a task.
    Async(fn(&S, &Payload) -> Result<LocalBoxFuture<()>, PayloadError>),
}

/// Answers a query from the state `S`. The outer `Err`: the arguments do not decode or the answer does not
/// encode.
pub type QueryFn<S> = fn(&S, &Payload) -> Result<Result<Payload, FailureRecord>, PayloadError>;

/// A workflow, as its attribute defines it.
pub trait WorkflowDef: Sized + 'static {
    /// Its type's name in history.
    const NAME: &'static str;
    /// The state its handlers share with `run`; `()` for a free function.
    type State: 'static;
    /// The arguments of `run`, as a tuple.
    type Args: Arguments;
    /// The return type of `run`, as written.
    type Returned;
    /// The return type of `run`, split into value and error.
    type Outcome: Outcome<Returned = Self::Returned>;
    /// The await points of each of its functions and the control flow between them.
    const GRAPHS: &'static [FnGraph] = &[];

    /// Whether [`WorkflowDef::init_with`] makes its state from the input (`#[init]`).
    const FROM_INPUT: bool = false;

    /// How its runs are started, as its attribute says.
    fn options() -> WorkflowOptions {
        WorkflowOptions::default()
    }

    /// Whether another attempt of the workflow may succeed after this error (`retry_if`).
    fn retryable(_error: &<Self::Outcome as Outcome>::Err) -> bool {
        true
    }

    /// The wait before the next attempt of the workflow that this error asks for (`retry_after`).
    fn retry_after(_error: &<Self::Outcome as Outcome>::Err) -> Option<Duration> {
        None
    }

    /// Makes the initial state where it is the same for every input.
    fn init() -> Self::State {
        crate::outcome::never()
    }

    /// Makes the initial state from the arguments of `run`.
    fn init_with(_args: Self::Args) -> Self::State {
        crate::outcome::never()
    }

    /// Calls the user's `run`.
    fn run(slot: Slot<Self::State>, args: Self::Args) -> impl Future<Output = Self::Returned> + 'static;

    /// Returns the handler of a signal.
    fn signal(_name: &str) -> Option<SignalFn<Self::State>> {
        None
    }

    /// Returns the handler of a query.
    fn query(_name: &str) -> Option<QueryFn<Self::State>> {
        None
    }

    /// Returns the validator and the handler of an update.
    fn update(_name: &str) -> Option<UpdateFn<Self::State>> {
        None
    }

    /// The names of the updates that it handles.
    fn update_names() -> &'static [&'static str] {
        &[]
    }

    /// The names of the signals that it handles.
    fn signal_names() -> &'static [&'static str] {
        &[]
    }

    /// The names of the queries that it answers.
    fn query_names() -> &'static [&'static str] {
        &[]
    }
}
