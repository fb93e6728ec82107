//! The typed handle. [`Handle<W>`] has no methods of its own: it derefs to the methods that the macro generates from
//! the workflow's signals and queries, and those to [`HandleCore`]. So a signal called `cancel` or `result` works, and
//! a method added here later can never shadow a user's; the engine's own is then `HandleCore::cancel(&handle)`.

use super::wait::End;
use super::{Client, Description, Request, UntypedHandle};
use crate::error::{Error, Result};
use crate::outcome::{WorkflowError, of_close};
use crate::store::ExecutionRow;
use abide_core::{
    FailureRecord, Fault, JournalRow, Never, Outcome, Payload, PayloadError, Persist, Sel, WorkflowDef,
    never, write_causes,
};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A workflow whose handle has generated methods. Implemented by `#[workflow]`.
pub trait WorkflowHandle: WorkflowDef {
    /// The signals and queries, as methods.
    type Methods: From<HandleCore<Self>> + Deref<Target = HandleCore<Self>> + Clone + Send + Sync + 'static;
}

/// A handle of an execution of `W`: its signals and queries as methods, and everything that [`HandleCore`] has.
/// Cheap to clone, `Send` and `Sync` whatever `W` is.
pub struct Handle<W: WorkflowHandle> {
    methods: W::Methods,
}

impl Client {
    /// A typed handle by workflow id: `client.handle::<OrderWorkflow>("order-42")`; of a workflow that is a function, by the
    /// function's name: `client.handle::<nightly_report>("report-7")`. Nothing is looked up yet; each use finds the newest run
    /// of that id, and refuses one of another workflow type with `AB0416`.
    pub fn handle<W: WorkflowHandle>(&self, workflow_id: impl AsRef<str>) -> Handle<W> {
        Handle::new(self.execution(workflow_id))
    }
}

impl<W: WorkflowHandle> Handle<W> {
    pub(super) fn new(untyped: UntypedHandle) -> Self {
        Self { methods: HandleCore { untyped, workflow: PhantomData }.into() }
    }
}

impl<W: WorkflowHandle> Deref for Handle<W> {
    type Target = W::Methods;

    fn deref(&self) -> &W::Methods {
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

/// What every handle of a `W` can do, whatever its signals and queries are.
pub struct HandleCore<W> {
    untyped: UntypedHandle,
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

    /// The run that this handle is bound to. `None` for a handle by workflow id: the newest run at each use.
    pub fn run_id(&self) -> Option<&str> {
        self.untyped.run_id()
    }

    /// Waits for the execution's end and gives what `run` returned. A suspended execution gives
    /// [`WorkflowError::Suspended`] at once: it may never end, and somebody should know. Only where a worker of another build has
    /// just been started in this process does it wait until that worker has tried the execution, for at most 10 s. A handle by workflow id stays
    /// with the run that it found first.
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

    /// Asks it to stop: its future is dropped at its await, what is shielded is finished, compensations run, and it
    /// closes as cancelled. Durable when the await returns; the execution may still be open then. Of a reason that is longer than
    /// 8 KiB the head and the tail are kept.
    pub fn cancel(&self, reason: impl Into<String>) -> Request {
        self.untyped.cancel(reason)
    }

    /// Ends it at once. No workflow code runs, nothing is compensated. The reason as with [`cancel`](Self::cancel).
    pub fn terminate(&self, reason: impl Into<String>) -> Request {
        self.untyped.terminate(reason)
    }

    /// Lets a suspended execution run again, after its cause was mended. `AB0414` where it is not suspended.
    pub async fn resume(&self) -> Result<()> {
        self.untyped.resume().await
    }

    /// What it is doing: status, live await positions, pending activities and timers, and why it is suspended.
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

    /// Only there to say that a signal is sent by its own method. A workflow's own signal of this name comes first.
    #[doc(hidden)]
    pub fn signal<N: SignalByName, I>(&self, _name: N, _input: I) -> Request {
        never()
    }

    /// Only there to say that a query is asked by its own method.
    #[doc(hidden)]
    pub fn query<N: QueryByName>(&self, _name: N) -> std::future::Ready<Result<Payload>> {
        never()
    }

    /// Only there to say that there are no updates.
    #[doc(hidden)]
    pub fn update<N: UpdateByName, I>(&self, _name: N, _input: I) -> std::future::Ready<Result<Payload>> {
        never()
    }

    /// For generated code: sends a signal.
    #[doc(hidden)]
    pub fn signal_with(&self, name: &'static str, input: Result<Payload, PayloadError>) -> Request {
        Request::signal(self.untyped.clone(), name, input, check_type::<W>)
    }

    /// For generated code: asks a query.
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
    /// Only there to say that a signal is sent by its own method, of a handle that knows the type.
    #[doc(hidden)]
    pub fn signal<N: SignalByName, I>(&self, _name: N, _input: I) -> Request {
        never()
    }

    /// Only there to say that a query is asked by its own method, of a handle that knows the type.
    #[doc(hidden)]
    pub fn query<N: QueryByName>(&self, _name: N) -> std::future::Ready<Result<Payload>> {
        never()
    }
}

/// What the name of a signal would have to be: nothing is.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a signal is sent by its own method of the handle, not by its name",
    label = "write `handle.approve(true).await?`, not `handle.signal(\"approve\", true)`",
    note = "each `#[signal]` of the workflow is a method of its handle, with the arguments of its handler",
    note = "for a run that was started elsewhere: `client.handle::<OrderWorkflow>(\"order-7\")`"
)]
pub trait SignalByName {}

/// What the name of a query would have to be: nothing is.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a query is asked by its own method of the handle, not by its name",
    label = "write `handle.status().await?`, not `handle.query(\"status\")`",
    note = "each `#[query]` of the workflow is a method of its handle, with the arguments of its handler",
    note = "for a run that was started elsewhere: `client.handle::<OrderWorkflow>(\"order-7\")`"
)]
pub trait QueryByName {}

/// What the name of an update would have to be: nothing is.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "updates come in a later version of abide",
    label = "there are signals and queries: `handle.approve(true).await?`, `handle.status().await?`",
    note = "change the state by a `#[signal]`, and read it by a `#[query]`: each is a method of the handle"
)]
pub trait UpdateByName {}

// One impl of each: without any, rustc would propose to write one.
#[diagnostic::do_not_recommend]
impl SignalByName for Never {}

#[diagnostic::do_not_recommend]
impl QueryByName for Never {}

#[diagnostic::do_not_recommend]
impl UpdateByName for Never {}

/// Refuses an execution of another type than `W`.
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

/// Why a query that returns `Result<T, E>` gave no value. Its `Debug` is its text and its causes, a line each.
#[non_exhaustive]
pub enum QueryError<E> {
    /// Its handler returned this error.
    Failed(E),
    /// The answer could not be had.
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

/// What the caller of a query gets: [`Result<T>`](crate::Result) for a plain query, `Result<T, QueryError<E>>` for one
/// that returns a `Result`. Whatever the types are: that history can keep them is asked where its [`QueryCodec`] is made, so
/// that rustc refuses one that cannot once.
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

/// An answer on its way: the value or error as it is written.
type Written = std::result::Result<Payload, FailureRecord>;

/// How a query's answer is written and read.
pub struct QueryCodec<A: Answer> {
    encode: fn(A::Returned) -> std::result::Result<Written, PayloadError>,
    reply: fn(Result<Written>) -> A::Reply,
}

impl<A: Answer> QueryCodec<A> {
    /// Writes the handler's answer.
    pub fn encode(&self, returned: A::Returned) -> std::result::Result<Written, PayloadError> {
        (self.encode)(returned)
    }
}

impl<T: 'static> QueryCodec<Sel<T, false>> {
    /// That of a query which cannot fail.
    pub const fn of() -> Self
    where
        T: Persist,
    {
        Self { encode: <Sel<T, false> as Outcome>::encode, reply: |answer| read(answer?) }
    }
}

impl<T: 'static, E: 'static> QueryCodec<Sel<std::result::Result<T, E>, true>> {
    /// That of a query which may fail.
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
