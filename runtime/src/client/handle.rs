//! The typed handle. [`Handle<W>`] has no methods of its own. It derefs to the methods that the macro
//! generates from the workflow's signals and queries, and these deref to [`HandleCore`]. So a signal named
//! `cancel` or `result` works, and a method added here later never shadows a user's signal. The engine's
//! method is then `HandleCore::cancel(&handle)`.

use super::wait::End;
use super::{Client, Description, Request, UntypedHandle};
use crate::error::{Error, Result};
use crate::outcome::{WorkflowError, of_close};
use crate::store::ExecutionRow;
use abide_core::{
    FailureRecord, Fault, JournalRow, Messages, Never, Outcome, Payload, PayloadError, Persist, Route, Sel,
    SignalRoute, WorkflowDef, never, write_causes,
};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// The route of a client: signals, queries and updates.
pub enum ByClient {}

impl Route for ByClient {
    type Core<W: WorkflowDef> = HandleCore<W>;
}

impl SignalRoute for ByClient {
    type Signal<W: WorkflowDef> = Request;

    fn signal<W: WorkflowDef>(
        core: &HandleCore<W>,
        name: &'static str,
        input: Result<Payload, PayloadError>,
    ) -> Request {
        Request::signal(core.untyped.clone(), name, input, check_type::<W>)
    }
}

/// A workflow whose handle has generated methods. Every workflow is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a workflow",
    label = "not a workflow",
    note = "name the type of its `#[workflow] impl`, or its function: `handle::<OrderWorkflow>(..)`, \
            `handle::<nightly_report>(..)`"
)]
pub trait WorkflowHandle: Messages<ByClient, Methods: Clone + Send + Sync + 'static> {}

#[diagnostic::do_not_recommend]
impl<W: Messages<ByClient, Methods: Clone + Send + Sync + 'static>> WorkflowHandle for W {}

/// A handle of an execution of `W`. It has the workflow's signals and queries as methods, and everything of
/// [`HandleCore`]. Cheap to clone; `Send` and `Sync` for every `W`.
pub struct Handle<W: WorkflowHandle> {
    methods: <W as Messages<ByClient>>::Methods,
}

impl Client {
    /// Returns a typed handle by workflow id: `client.handle::<OrderWorkflow>("order-42")`. If the workflow
    /// is a function, use the function's name: `client.handle::<nightly_report>("report-7")`. This call looks
    /// nothing up. Each use finds the newest run of the id, and fails with `AB0416` if its workflow type is
    /// another.
    pub fn handle<W: WorkflowHandle>(&self, workflow_id: impl AsRef<str>) -> Handle<W> {
        Handle::new(self.execution(workflow_id))
    }
}

impl<W: WorkflowHandle> Handle<W> {
    pub(super) fn new(untyped: UntypedHandle) -> Self {
        Self { methods: <W as Messages<ByClient>>::methods(HandleCore { untyped, workflow: PhantomData }) }
    }
}

impl<W: WorkflowHandle> Deref for Handle<W> {
    type Target = <W as Messages<ByClient>>::Methods;

    fn deref(&self) -> &Self::Target {
        &self.methods
    }
}

impl<W: WorkflowHandle> Clone for Handle<W> {
    fn clone(&self) -> Self {
        Self { methods: self.methods.clone() }
    }
}

impl<W: WorkflowHandle> fmt::Debug for Handle<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HandleCore::fmt(&self.methods, f)
    }
}

/// The methods that every handle has, independent of the signals and queries of `W`.
pub struct HandleCore<W> {
    pub(super) untyped: UntypedHandle,
    workflow: PhantomData<fn() -> W>,
}

impl<W> Clone for HandleCore<W> {
    fn clone(&self) -> Self {
        Self { untyped: self.untyped.clone(), workflow: PhantomData }
    }
}

impl<W> fmt::Debug for HandleCore<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.untyped.fmt(f)
    }
}

impl<W: WorkflowDef> HandleCore<W> {
    /// The workflow id.
    pub fn id(&self) -> &str {
        self.untyped.id()
    }

    /// The run id of the run that this handle is bound to. `None` for a handle by workflow id, which means
    /// the newest run at each use.
    pub fn run_id(&self) -> Option<&str> {
        self.untyped.run_id()
    }

    /// Waits for the execution's end and returns the result of `run`. If the execution is suspended, it
    /// returns [`WorkflowError::Suspended`] at once, because the execution may never end and its operator
    /// should know. There is one exception: if a worker of another build has just been started in this
    /// process, it first waits until that worker has tried the execution, for at most 10 s. A handle by
    /// workflow id stays with the run that it found first.
    pub fn result(
        &self,
    ) -> impl Future<Output = Result<<W::Outcome as Outcome>::Ok, WorkflowError<<W::Outcome as Outcome>::Err>>>
    + Send
    + use<W> {
        let untyped = self.untyped.clone();
        async move {
            let (execution, end) = untyped.end(check_type::<W>).await?;
            match end {
                End::Closed(event) => of_close::<W::Outcome>(execution, &event),
                End::Suspended(reason) => Err(WorkflowError::Suspended(reason)),
            }
        }
    }

    /// Asks the execution to stop: its future is dropped at its await, shielded blocks finish, compensations
    /// run, and it closes as cancelled. The request is durable when the await returns; the execution may
    /// still be open then. If the reason is longer than 8 KiB, only its head and tail are kept.
    pub fn cancel(&self, reason: impl Into<String>) -> Request {
        self.untyped.cancel(reason)
    }

    /// Ends the execution at once. No workflow code runs, and nothing is compensated. The reason is limited
    /// as in [`cancel`](Self::cancel).
    pub fn terminate(&self, reason: impl Into<String>) -> Request {
        self.untyped.terminate(reason)
    }

    /// Lets a suspended execution run again, after its cause was fixed. `AB0414` if it is not suspended.
    pub async fn resume(&self) -> Result<()> {
        self.untyped.resume().await
    }

    /// Describes what it is doing: status, live await positions, pending activities and timers, and why it is
    /// suspended.
    pub async fn describe(&self) -> Result<Description> {
        self.untyped.describe().await
    }

    /// Its history so far: one row for each turn.
    pub async fn history(&self) -> Result<Vec<JournalRow>> {
        self.untyped.history().await
    }

    /// The same execution without its type.
    pub fn untyped(&self) -> UntypedHandle {
        self.untyped.clone()
    }

    /// Exists only for its compile error, which says that a signal is sent by its own method. A workflow's
    /// own signal of this name has precedence.
    #[doc(hidden)]
    pub fn signal<N: SignalByName, I>(&self, _name: N, _input: I) -> Request {
        never()
    }

    /// Exists only for its compile error, which says that a query is called by its own method.
    #[doc(hidden)]
    pub fn query<N: QueryByName>(&self, _name: N) -> std::future::Ready<Result<Payload>> {
        never()
    }

    /// Exists only for its compile error, which says that an update is sent by its own method.
    #[doc(hidden)]
    pub fn update<N: UpdateByName, I>(&self, _name: N, _input: I) -> std::future::Ready<Result<Payload>> {
        never()
    }

    /// For generated code: calls a query.
    #[doc(hidden)]
    pub fn query_with<A: Answer>(
        &self,
        name: &'static str,
        input: Result<Payload, PayloadError>,
        codec: &'static QueryCodec<A>,
    ) -> impl Future<Output = A::Reply> + Send + use<W, A> {
        let untyped = self.untyped.clone();
        async move {
            let asked = match input {
                Ok(input) => untyped.ask(name, input, check_type::<W>).await,
                Err(error) => Err(error.into()),
            };
            (codec.reply)(asked)
        }
    }
}

impl UntypedHandle {
    /// Exists only for its compile error, which says that a signal is sent by its own method, on a typed
    /// handle.
    #[doc(hidden)]
    pub fn signal<N: SignalByName, I>(&self, _name: N, _input: I) -> Request {
        never()
    }

    /// Exists only for its compile error, which says that a query is called by its own method, on a typed
    /// handle.
    #[doc(hidden)]
    pub fn query<N: QueryByName>(&self, _name: N) -> std::future::Ready<Result<Payload>> {
        never()
    }
}

/// A bound that no type satisfies, for the compile error of `signal`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a signal is sent by its own method of the handle, not by its name",
    label = "write `handle.approve(true).await?`, not `handle.signal(\"approve\", true)`",
    note = "each `#[signal]` of the workflow is a method of its handle, with the arguments of its handler",
    note = "for a run that was started elsewhere: `client.handle::<OrderWorkflow>(\"order-7\")`"
)]
pub trait SignalByName {}

/// A bound that no type satisfies, for the compile error of `query`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a query is asked by its own method of the handle, not by its name",
    label = "write `handle.status().await?`, not `handle.query(\"status\")`",
    note = "each `#[query]` of the workflow is a method of its handle, with the arguments of its handler",
    note = "for a run that was started elsewhere: `client.handle::<OrderWorkflow>(\"order-7\")`"
)]
pub trait QueryByName {}

/// A bound that no type satisfies, for the compile error of `update`.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an update is sent by its own method of the handle, not by its name",
    label = "write `handle.add(item).await?`, not `handle.update(\"add\", item)`",
    note = "each `#[update]` of the workflow is a method of its handle, with the arguments of its handler",
    note = "for a run that was started elsewhere: `client.handle::<OrderWorkflow>(\"order-7\")`"
)]
pub trait UpdateByName {}

// One impl for each: without any, rustc would suggest writing one.
#[diagnostic::do_not_recommend]
impl SignalByName for Never {}

#[diagnostic::do_not_recommend]
impl QueryByName for Never {}

#[diagnostic::do_not_recommend]
impl UpdateByName for Never {}

/// Refuses an execution whose workflow type is not `W`: AB0416.
pub(super) fn check_type<W: WorkflowDef>(row: &ExecutionRow) -> Result<()> {
    if row.workflow_type == W::NAME {
        return Ok(());
    }
    Err(Error::TypeMismatch {
        workflow_id: row.workflow_id.clone(),
        expected: W::NAME,
        found: row.workflow_type.clone(),
    })
}

/// The error of a query that returns `Result<T, E>`. Its `Debug` output is its text and its causes, one per
/// line.
#[non_exhaustive]
pub enum QueryError<E> {
    /// Its handler returned this error.
    Failed(E),
    /// The query could not be answered.
    Client(Error),
}

impl<E> From<PayloadError> for QueryError<E> {
    fn from(error: PayloadError) -> Self {
        Self::Client(error.into())
    }
}

impl<E> From<Error> for QueryError<E> {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl<E: Fault> fmt::Display for QueryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => fmt::Display::fmt(error, f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl<E: Fault> fmt::Debug for QueryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, self, std::error::Error::source(self))
    }
}

impl<E: Fault> std::error::Error for QueryError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => error.cause(),
            Self::Client(error) => error.source(),
        }
    }
}

/// What the caller of a query gets: [`Result<T>`](crate::Result) for a plain query,
/// `Result<T, QueryError<E>>` for one that returns a `Result`. There are no bounds on the types here. Whether
/// history can keep them is checked where the [`QueryCodec`] is created, so that rustc reports an unsuitable
/// type once.
pub trait Answer: 'static {
    /// What the handler returns.
    type Returned;
    /// The caller's type.
    type Reply;
}

impl<T: 'static> Answer for Sel<T, false> {
    type Returned = T;
    type Reply = Result<T>;
}

impl<T: 'static, E: 'static> Answer for Sel<std::result::Result<T, E>, true> {
    type Returned = std::result::Result<T, E>;
    type Reply = std::result::Result<T, QueryError<E>>;
}

/// An encoded answer: the value, or the error.
type Written = std::result::Result<Payload, FailureRecord>;

/// Encodes and decodes a query's answer.
pub struct QueryCodec<A: Answer> {
    encode: fn(A::Returned) -> std::result::Result<Written, PayloadError>,
    reply: fn(Result<Written>) -> A::Reply,
}

impl<A: Answer> QueryCodec<A> {
    /// Encodes the handler's answer.
    pub fn encode(&self, returned: A::Returned) -> std::result::Result<Written, PayloadError> {
        (self.encode)(returned)
    }
}

impl<T: 'static> QueryCodec<Sel<T, false>> {
    /// The codec of a query that cannot fail.
    pub const fn of() -> Self
    where
        T: Persist,
    {
        Self { encode: <Sel<T, false> as Outcome>::encode, reply: |answer| read(answer?) }
    }
}

impl<T: 'static, E: 'static> QueryCodec<Sel<std::result::Result<T, E>, true>> {
    /// The codec of a query that may fail.
    pub const fn of() -> Self
    where
        T: Persist,
        E: Fault,
    {
        Self {
            encode: <Sel<std::result::Result<T, E>, true> as Outcome>::encode,
            reply: |answer| match answer? {
                Err(failure) => {
                    Err(E::from_record(&failure).map_or_else(QueryError::from, QueryError::Failed))
                }
                value => Ok(read(value)?),
            },
        }
    }
}

fn read<T: Persist>(written: Written) -> Result<T> {
    match written {
        Ok(value) => Ok(value.decode()?),
        Err(failure) => match Never::from_record(&failure)? {},
    }
}
