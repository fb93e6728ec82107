//! The codes of errors: one table. Compile errors of the attributes have a table of their own, in
//! `macros/analysis/src/errors.rs`, and the notes of trait bounds name their code in their text.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The code of an error that arises when a program runs. Each has a page in `docs/errors/`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Code {
            /// All codes, in the order of their numbers.
            const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as texts, databases and pages have it: `AB0201`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    /// A macro hid an `.await` from the workflow's attribute.
    HiddenAwait = "AB0118",
    /// The code does not match its history.
    Mismatch = "AB0201",
    /// Workflow code panicked.
    Panicked = "AB0202",
    /// A recorded payload does not decode.
    Undecodable = "AB0203",
    /// The workflow awaits something that cannot wake it.
    NeverWoken = "AB0204",
    /// The workflow's worker died too often while it ran.
    CrashLoop = "AB0205",
    /// No worker has registered the workflow type.
    UnknownWorkflow = "AB0206",
    /// No worker has registered the activity type.
    UnknownActivity = "AB0207",
    /// A workflow blocked its thread.
    ThreadBlocked = "AB0208",
    /// The journal is damaged.
    Damaged = "AB0209",
    /// The workflow API was used outside a workflow.
    OutsideWorkflow = "AB0210",
    /// The history is too long.
    HistoryTooLong = "AB0211",
    /// The database refused a row of the execution.
    RowRefused = "AB0212",
    /// Another release wrote the history.
    OtherRelease = "AB0213",
    /// A file cannot be used as a history.
    HistoryUnusable = "AB0214",
    /// A value's own JSON cannot be read as its type.
    Unreadable = "AB0216",
    /// A value's own JSON is read as another value.
    ReadsBackChanged = "AB0217",
    /// A workflow future was awaited again after its end.
    AwaitedAgain = "AB0218",
    /// An argument has a bad value.
    BadArgument = "AB0304",
    /// An open run has the workflow id.
    WorkflowIdTaken = "AB0401",
    /// A closed run had the workflow id, and the policy refuses another.
    IdReuseRefused = "AB0402",
    /// A value cannot be encoded.
    Unencodable = "AB0403",
    /// A payload is not of today's type.
    PayloadType = "AB0404",
    /// A payload is over the limit.
    PayloadTooLarge = "AB0405",
    /// There is no such execution.
    NoSuchExecution = "AB0406",
    /// The execution is closed.
    ExecutionClosed = "AB0407",
    /// The workflow has no such query.
    UnknownQuery = "AB0408",
    /// A query failed.
    QueryFailed = "AB0409",
    /// The outcome of a write is unknown.
    OutcomeUnknown = "AB0410",
    /// No task queue was given or found.
    NoTaskQueue = "AB0411",
    /// An id or name is not allowed.
    InvalidId = "AB0412",
    /// No worker answered a query in time.
    QueryTimeout = "AB0413",
    /// Only suspended executions can be resumed.
    NotSuspended = "AB0414",
    /// The execution has another workflow type than the handle.
    TypeMismatch = "AB0416",
    /// A test environment could not be started.
    NoTestEnvironment = "AB0417",
    /// A terminate cannot be a part of a user's transaction.
    NotWithin = "AB0418",
    /// Nothing can end a wait in a test environment.
    NothingLeft = "AB0419",
    /// The run ended before the update's handler.
    UpdateAborted = "AB0420",
    /// The update waits for a suspended run.
    UpdateWaits = "AB0421",
    /// The run has too many updates.
    TooManyUpdates = "AB0422",
    /// There is no such schedule.
    NoSuchSchedule = "AB0423",
    /// There is a schedule with the id.
    ScheduleExists = "AB0424",
    /// A schedule's spec does not parse, or never fires.
    ScheduleSpec = "AB0425",
    /// An activity has no such token, or not any more.
    ActivityToken = "AB0429",
    /// A time limit is over before an attempt can begin.
    LimitTooShort = "AB0430",
    /// A test retries an activity without end.
    RetriedWithoutEnd = "AB0431",
    /// A retry policy waits less than a millisecond.
    WaitTooShort = "AB0432",
    /// A test's time stands still.
    Standstill = "AB0433",
    /// The run has accepted no update of this request id.
    NoSuchUpdate = "AB0440",
    /// The worker cannot run the update.
    UpdateRefused = "AB0441",
    /// An attempt cannot publish.
    PublishRefused = "AB0442",
    /// A reader asks for items of a stream that are not kept any more.
    StreamBehind = "AB0450",
    /// The database cannot be opened.
    CannotOpen = "AB0501",
    /// The database is read-only.
    ReadOnly = "AB0502",
    /// The database is locked.
    Busy = "AB0503",
    /// The disk is full.
    DiskFull = "AB0504",
    /// The file is no database of this engine.
    ForeignFile = "AB0505",
    /// A newer release wrote the database.
    NewerDatabase = "AB0506",
    /// The disk failed.
    DiskFailed = "AB0507",
    /// The database is on a network file system.
    NetworkFileSystem = "AB0508",
    /// The database URL is unknown.
    UnknownDatabase = "AB0509",
    /// The lease was lost.
    LeaseLost = "AB0510",
    /// A migration failed.
    MigrationFailed = "AB0511",
    /// Another error of the database.
    DatabaseError = "AB0512",
    /// A pooler gives each transaction another session.
    Pooler = "AB0513",
    /// The tables are older than this build needs.
    OlderTables = "AB0514",
    /// The database aborted a transaction.
    Aborted = "AB0515",
    /// The connection is of another database.
    WrongConnection = "AB0516",
    /// The database cannot be reached.
    Unreachable = "AB0517",
    /// A worker has nothing registered, or one name twice.
    Registration = "AB0601",
    /// An activity panicked.
    ActivityPanicked = "AB0602",
    /// An activity's result cannot be stored.
    UnstorableResult = "AB0603",
    /// An activity's input does not decode.
    ActivityInput = "AB0604",
    /// An activity runs long without a limit.
    RunsLong = "AB0605",
    /// A shutdown did not wait for an activity.
    GraceOver = "AB0606",
    /// The worker has stopped.
    WorkerStopped = "AB0607",
    /// An execution has too many open activities.
    TooManyActivities = "AB0608",
    /// A transactional activity called the engine.
    InsideTransaction = "AB0609",
    /// An activity's task queue is not allowed.
    ActivityQueue = "AB0610",
    /// A transactional activity is for another database.
    WrongDatabase = "AB0611",
    /// The transaction of an activity took too long.
    TransactionTooLong = "AB0612",
    /// The body ended the engine's transaction.
    TransactionEnded = "AB0613",
    /// The database refused the commit of an activity's transaction.
    CommitRefused = "AB0614",
    /// An activity was scheduled before it became transactional.
    BecameTransactional = "AB0615",
    /// A run goes on as a new run while compensations are registered.
    Uncompensated = "AB0616",
    /// An execution has too many unanswered commands.
    TooManyUnanswered = "AB0617",
    /// Children are too deep below each other.
    TooDeep = "AB0618",
    /// A run has too much to hand on to the next run.
    TooMuchCarried = "AB0619",
    /// What a heartbeat tells is over the limit.
    HeartbeatTooLarge = "AB0620",
    /// A call asks of its task queue what it cannot give.
    QueueOptions = "AB0622",
    /// An activity blocks its thread.
    ActivityBlocks = "AB0623",
    /// Activities that wait for workflows hold all slots.
    SlotsHeld = "AB0624",
    /// A worker was dropped while it was running.
    WorkerDropped = "AB0625",
    /// An attempt of an activity failed.
    AttemptFailed = "AB0626",
    /// A workflow waits, and no worker can run it.
    NoWorker = "AB0627",
    /// A workflow ended while a signal handler was unfinished.
    HandlerUnfinished = "AB0628",
    /// A workflow ended with signals that no handler took.
    SignalsLeft = "AB0629",
    /// A handler or a spawned task goes on as another workflow.
    OtherWorkflow = "AB0635",
}

impl Code {
    /// The code that is this text. `None` for the code of another release.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// The code at the beginning of a text such as `AB0201: ..`, and the rest.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (code, rest) = text.split_once(": ")?;
        Some((Self::of(code)?, rest))
    }

    /// Whether the error is the store's.
    pub fn is_of_the_store(self) -> bool {
        self.as_str().starts_with("AB05")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.as_str().to_owned()
    }
}

impl PartialEq<Code> for String {
    fn eq(&self, code: &Code) -> bool {
        self == code.as_str()
    }
}

impl PartialEq<Code> for &str {
    fn eq(&self, code: &Code) -> bool {
        *self == code.as_str()
    }
}

#[test]
fn a_code_is_found_by_its_text() {
    for code in Code::ALL {
        assert_eq!(Code::of(code.as_str()), Some(*code), "{code} stands twice");
        assert_eq!(Code::split(&format!("{code}: a: b")), Some((*code, "a: b")));
    }
    assert!(Code::ALL.is_sorted_by_key(|code| code.as_str()));
    assert_eq!(Code::of("AB02"), None);
    assert_eq!(Code::split("AB0201"), None);
    assert!(Code::LeaseLost.is_of_the_store() && !Code::Mismatch.is_of_the_store());
    assert!("AB0201" == Code::Mismatch && "AB0202" != Code::Mismatch);
}
