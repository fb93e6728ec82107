//! Errors for operators: [`Error`], with a code, a text that says what to do, and its source chain.
//!
//! The other family of errors, which history keeps and workflow code sees, is in `abide_core` ([`crate::Failure`],
//! [`crate::ActivityError`]). The two meet in [`WorkflowError`] and [`QueryError`](crate::QueryError), which carry the
//! user's typed error or the client's error. A storage error is never a workflow's outcome (PROTOCOL 8), so no error
//! of this module is ever written into a history.

mod code;
mod failure;
mod given_up;
mod kind;
mod request;
mod token;

pub use failure::StoreFailure;
pub use kind::ErrorKind;
pub use token::TokenError;

use crate::store::StoreError;
use abide_core::{Code, PayloadError, write_causes};
use std::error::Error as _;
use std::fmt;

/// The result of an operation of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation of the engine failed. Every text begins with the code that [`Error::code`] returns; each
/// code has a page in `docs/errors/`. The `Debug` output, which `main` and `unwrap()` print, is the text and
/// the causes, one per line.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A run of this workflow id is open, and the conflict policy is `Fail`.
    #[error(
        "{}: workflow id `{workflow_id}` is taken by the open run {run_id}: wait for it, use another id, or \
         start with `.id_conflict_policy(IdConflictPolicy::UseExisting)`",
        Code::WorkflowIdTaken
    )]
    WorkflowIdTaken {
        /// The requested workflow id.
        workflow_id: String,
        /// The run that has it.
        run_id: String,
    },
    /// A closed run of this workflow id exists, and the reuse policy refuses another.
    #[error(
        "{}: workflow id `{workflow_id}` was used by the closed run {run_id}, and the id reuse policy of this \
         start refuses another run",
        Code::IdReuseRefused
    )]
    IdReuseRefused {
        /// The requested workflow id.
        workflow_id: String,
        /// The run that had it.
        run_id: String,
    },
    /// A value cannot be encoded (`AB0403`) or decoded (`AB0404`), is over the limit (`AB0405`), or changes
    /// when it is written as JSON and read again (`AB0216`, `AB0217`).
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The workflow has failed because its history cannot keep what it returned.
    #[error("{message}")]
    ResultRefused {
        /// `AB0403` (not encodable), `AB0405` (over the limit), `AB0216` or `AB0217` (read back changed).
        code: &'static str,
        /// The text of the refusal, as history keeps it. It begins with the code.
        message: String,
    },
    /// A start is refused: a time limit (`AB0430`) or a wait of its retry policy (`AB0432`) is under 1 ms.
    #[error("{message}")]
    StartRefused {
        /// The code.
        code: &'static str,
        /// What is wrong. It begins with the code.
        message: String,
    },
    /// There is no execution with this id.
    #[error(
        "{}: no execution with id `{id}` in this database: check the id and the database's path",
        Code::NoSuchExecution
    )]
    NoSuchExecution {
        /// The requested workflow id, run id or execution id.
        id: String,
    },
    /// There is no schedule with this id.
    #[error(
        "{}: no schedule `{id}` in this database: check the id and the database's path",
        Code::NoSuchSchedule
    )]
    NoSuchSchedule {
        /// The requested id.
        id: String,
    },
    /// There is a schedule with this id.
    #[error(
        "{}: schedule `{id}` exists: change it with `client.schedule_handle::<W>(\"{id}\").update(..)`, delete it, or \
         use another id",
        Code::ScheduleExists
    )]
    ScheduleExists {
        /// The id.
        id: String,
    },
    /// A schedule cannot be so: its times cannot be read or never come, it cannot have an option of its start, or
    /// what is asked of it is refused.
    #[error("{message}")]
    ScheduleRefused {
        /// What is wrong. It begins with the code, `AB0425`.
        message: String,
    },
    /// The execution has ended and accepts no messages.
    #[error(
        "{}: execution `{workflow_id}` is closed and takes no more messages; its result and queries remain",
        Code::ExecutionClosed
    )]
    ExecutionClosed {
        /// Its workflow id.
        workflow_id: String,
    },
    /// The workflow has no query with this name.
    #[error(
        "{}: workflow type `{workflow_type}` has no query `{query}`: its worker may run another build",
        Code::UnknownQuery
    )]
    UnknownQuery {
        /// The workflow's type.
        workflow_type: String,
        /// The name of the query.
        query: String,
    },
    /// The query's handler panicked, its input or answer was unreadable, or this build cannot replay the run.
    #[error("{}: query `{query}` failed: {message}", Code::QueryFailed)]
    QueryFailed {
        /// The name of the query.
        query: String,
        /// What went wrong.
        message: String,
    },
    /// A commit was interrupted: the operation may or may not have taken effect.
    #[error(
        "{}: the outcome is unknown ({message}): ask again with `.request_id(\"{request_id}\")`; an id that \
         took effect answers as it did then",
        Code::OutcomeUnknown
    )]
    OutcomeUnknown {
        /// The request id to repeat the operation with.
        request_id: String,
        /// What was interrupted.
        message: String,
    },
    /// A start named no task queue, and none could be determined.
    #[error(
        "{}: no task queue for workflow type `{workflow_type}`: no worker in this process serves it, so say \
         `.task_queue(\"..\")` on the start or on the client",
        Code::NoTaskQueue
    )]
    NoTaskQueue {
        /// The workflow's type.
        workflow_type: String,
    },
    /// An id or name is empty or too long.
    #[error("{}: a {what} has 1 to 1,000 characters, this one has {chars}", Code::InvalidId)]
    InvalidId {
        /// What the id or name identifies.
        what: &'static str,
        /// Its length.
        chars: usize,
    },
    /// A request id begins with `abide/`, which is reserved for the engine's own messages.
    #[error(
        "{}: request id `{request_id}` begins with `abide/`, which is kept for the engine's own \
         messages: use another",
        Code::InvalidId
    )]
    ReservedId {
        /// The id.
        request_id: String,
    },
    /// No worker answered a query in time.
    #[error(
        "{}: no worker answered query `{query}` within {waited_ms} ms: is a worker for task queue `{task_queue}` \
         running?",
        Code::QueryTimeout
    )]
    QueryTimeout {
        /// The name of the query.
        query: String,
        /// The execution's task queue.
        task_queue: String,
        /// How long the client waited.
        waited_ms: u64,
    },
    /// Only a suspended execution can be resumed.
    #[error(
        "{}: execution `{workflow_id}` is not suspended (it is {status}): there is nothing to resume",
        Code::NotSuspended
    )]
    NotSuspended {
        /// Its workflow id.
        workflow_id: String,
        /// Its status.
        status: crate::ExecutionStatus,
    },
    /// The handle's workflow type differs from the execution's.
    #[error(
        "{}: execution `{workflow_id}` is of workflow type `{found}`, the handle is of `{expected}`",
        Code::TypeMismatch
    )]
    TypeMismatch {
        /// The workflow id.
        workflow_id: String,
        /// The handle's type.
        expected: &'static str,
        /// The execution's type.
        found: String,
    },
    /// An activity is not completed by its token (`AB0429`), or its heartbeat is refused (`AB0620`).
    #[error(transparent)]
    ActivityToken(#[from] TokenError),
    /// A reader asks for items of a stream that are not kept any more. The next call goes on after `after`.
    #[error(
        "{}: items of stream `{stream}` before {after} are not kept any more: a stream keeps the newest 10,000 items \
         or 16 MiB. It goes on after {after}",
        Code::StreamBehind
    )]
    StreamBehind {
        /// The stream's name.
        stream: String,
        /// From where it goes on.
        after: crate::offset::StreamOffset,
    },
    /// No store supports this URL.
    #[error("{}: no store for the database URL `{url}`: {help}", Code::UnknownDatabase)]
    UnknownDatabase {
        /// The URL, without its password.
        url: String,
        /// What to write instead.
        help: &'static str,
    },
    /// An error of the store: `AB05xx`.
    #[error(transparent)]
    Store(StoreFailure),
    /// A worker has nothing registered.
    #[error(
        "{}: the worker of task queue `{task_queue}` has neither a workflow nor an activity registered",
        Code::Registration
    )]
    NothingRegistered {
        /// The worker's task queue.
        task_queue: String,
    },
    /// Two registrations have the same name.
    #[error(
        "{}: {kind} `{name}` is registered twice: give one of them another `name = \"..\"`",
        Code::Registration
    )]
    RegisteredTwice {
        /// "workflow" or "activity".
        kind: &'static str,
        /// The name they share.
        name: String,
    },
    /// A transactional activity takes a connection of another kind of database than the worker's.
    #[error(
        "{}: the transactional activity `{activity}` takes a connection of another database: this one is {found}",
        Code::WrongDatabase
    )]
    WrongDatabase {
        /// The activity's name.
        activity: String,
        /// The worker's kind of database.
        found: String,
    },
    /// A test environment could not be created.
    #[error("{}: no test environment: {message}", Code::NoTestEnvironment)]
    NoTestEnvironment {
        /// Why.
        message: String,
    },
    /// In a test environment: no timer, time limit, activity or message is left that could end the wait.
    #[error(
        "{}: workflow `{workflow_id}` waits {awaiting}, and nothing is left that could end it: no \
         timer, no activity, no message. Begin or send what it waits for, or plan it with `env.after(..)`, \
         before you await its result",
        Code::NothingLeft
    )]
    NothingLeft {
        /// Its workflow id.
        workflow_id: String,
        /// What it waits for: `at` and its await points with their positions; or `for a worker`, and why it
        /// has none.
        awaiting: String,
    },
    /// In a test environment: an activity or a workflow was retried as often as the environment allows.
    #[error(
        "{}: {} has failed {attempts} times in this test and is tried again, the last time with: {failure}. {}, or \
         allow more by `TestEnv::builder().attempt_limit(..)`",
        Code::RetriedWithoutEnd, given_up::retried(.activity.as_deref(), .workflow_id), given_up::help(.activity)
    )]
    RetriedWithoutEnd {
        /// The activity's name. `None`: the workflow itself fails.
        activity: Option<String>,
        /// The workflow id.
        workflow_id: String,
        /// How many attempts have failed.
        attempts: u32,
        /// The failure of the last one.
        failure: String,
    },
    /// In a test environment: its time stands still because an activity runs in real time.
    #[error(
        "{}: the test's time stands still: {activities} has run in real time for {seconds} s, and a \
         wait cannot end before time passes. An activity that awaits a workflow lets time pass where its \
         own body does, not a task that it has spawned. Await it there, mock the activity, or allow more by \
         `TestEnv::builder().standstill_limit(..)`",
        Code::Standstill
    )]
    Standstill {
        /// The names of the running activities.
        activities: String,
        /// How long the oldest of them has run, by the wall clock.
        seconds: u64,
    },
    /// A terminate cannot be part of a transaction.
    #[error(
        "{}: a terminate, or a start that terminates the open run, cannot be a part of a transaction: \
         cancel within it, or terminate after its commit",
        Code::NotWithin
    )]
    NotWithin,
    /// A history document has a format that this build does not read.
    #[error(
        "{}: {what} is a history of format {found}, this build reads format {known}: replay it with the \
         release of abide that wrote it, or export the run again with this one",
        Code::OtherRelease
    )]
    HistoryFormat {
        /// Where it came from.
        what: String,
        /// Its format.
        found: String,
        /// The format of this build.
        known: u64,
    },
    /// A history document cannot be read or written, or is not a history.
    #[error(
        "{}: {what} cannot be used as a history: {message}. Export the run again with `History::of`",
        Code::HistoryUnusable
    )]
    HistoryUnusable {
        /// Where it came from.
        what: String,
        /// What is wrong.
        message: String,
        /// What the operating system or the JSON reader said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A worker has stopped and accepts no more work.
    #[error("{}: the worker of task queue `{task_queue}` has stopped: {message}", Code::WorkerStopped)]
    WorkerStopped {
        /// The worker's task queue.
        task_queue: String,
        /// Why.
        message: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_causes(f, self, self.source())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(StoreFailure(error))
    }
}
