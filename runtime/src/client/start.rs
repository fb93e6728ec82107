//! Starts a workflow: the options, the worker or store that takes the start, and the meaning of the answer.

use super::first::{Sent, first_messages, message_to};
use super::schedule::check_schedule_id;
use super::submit::submit;
use super::terms::Timing;
use super::{Client, Handle, UntypedHandle, WorkflowHandle, check_id, check_request_id, user_connection};
use crate::activity::TransactionConnection;
use crate::error::{Error, Result};
use crate::future::BoxFuture;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::store::{Action, ExecutionRow, NewExecution, StartAnswer};
use abide_core::{Code, Event, FirstMessage, Payload, PayloadError, Priority, RetryPolicy, WorkflowCall};
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A workflow about to be started. Set the options that differ from the defaults, then `.await` it for its
/// [`Handle`].
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<W> {
    client: Client,
    input: std::result::Result<Payload, PayloadError>,
    id: Option<String>,
    queue: Option<Arc<str>>,
    request_id: Option<String>,
    reuse: IdReusePolicy,
    /// `None`: the default, which a message changes.
    conflict: Option<IdConflictPolicy>,
    timing: Timing,
    /// The signals that go with it.
    pub(super) signals: Vec<Sent>,
    workflow: PhantomData<fn() -> W>,
}

impl Client {
    /// Starts a workflow: `client.start(OrderWorkflow::run(order)).id("order-42").await?`. When the await
    /// returns, the start is durable.
    pub fn start<W: WorkflowHandle>(&self, call: WorkflowCall<W>) -> Start<W> {
        Start::new(self.clone(), call)
    }
}

impl<W: WorkflowHandle> Start<W> {
    fn new(client: Client, call: WorkflowCall<W>) -> Self {
        Self {
            queue: None,
            client,
            input: call.into_input(),
            id: None,
            request_id: None,
            reuse: IdReusePolicy::default(),
            conflict: None,
            timing: Timing::default(),
            signals: Vec::new(),
            workflow: PhantomData,
        }
    }

    /// The workflow id, 1 to 1,000 characters. At most one open run has the same id. Default: a fresh UUIDv7.
    pub fn id(mut self, workflow_id: impl AsRef<str>) -> Self {
        self.id = Some(workflow_id.as_ref().to_owned());
        self
    }

    /// The task queue. Default: that of the workflow's attribute; otherwise the client's; otherwise that of a
    /// worker in this process that serves the workflow.
    pub fn task_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.queue = Some(Arc::from(queue.as_ref()));
        self
    }

    /// Sets the request id of this start. Another start with the same request id returns the run that the
    /// first one started, whatever its state. Default: none, so that each start is its own.
    pub fn request_id(mut self, request_id: impl AsRef<str>) -> Self {
        self.request_id = Some(request_id.as_ref().to_owned());
        self
    }

    /// What to do if a closed run has the id. Default: [`IdReusePolicy::AllowDuplicate`].
    pub fn id_reuse_policy(mut self, policy: IdReusePolicy) -> Self {
        self.reuse = policy;
        self
    }

    /// What to do if an open run has the id. Default: [`IdConflictPolicy::Fail`]; with a message
    /// ([`with`](Self::with)), [`IdConflictPolicy::UseExisting`].
    pub fn id_conflict_policy(mut self, policy: IdConflictPolicy) -> Self {
        self.conflict = Some(policy);
        self
    }

    /// How long the run may take, from when it begins (or is due, see [`delay`](Self::delay)): at least 1 ms
    /// (`AB0430`). Then it ends as [`WorkflowError::TimedOut`](crate::WorkflowError::TimedOut), and no code of it
    /// runs any more: no compensation, no `Drop`. It also ends so while it is suspended or no worker has its
    /// code. The time is the database's. Default: as the attribute says, `#[workflow(run_timeout = "1d")]`;
    /// otherwise no limit.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # use std::time::Duration;
    /// # #[workflow] async fn report(day: u32) {}
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let hour = Duration::from_secs(3_600);
    /// match client.start(report(7)).run_timeout(hour).await?.result().await {
    ///     Err(WorkflowError::TimedOut { kind: TimeoutKind::Run }) => println!("too slow"),
    ///     ended => ended?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.timing.run_timeout = Some(limit);
        self
    }

    /// How long all runs of the execution together may take: its retries, and those that it continues as. See
    /// [`run_timeout`](Self::run_timeout).
    pub fn execution_timeout(mut self, limit: Duration) -> Self {
        self.timing.execution_timeout = Some(limit);
        self
    }

    /// Sets when and how often the workflow is tried again: a run that has failed, or has reached its `run_timeout`,
    /// is followed by another one with the same arguments, under the same workflow id. Not after a cancellation, a
    /// terminate, or an error that no retry can fix ([`Failure::non_retryable`](crate::Failure::non_retryable), or
    /// `retry_if` of the attribute). An error may ask for another wait
    /// ([`Failure::retry_after`](crate::Failure::retry_after)). No attempt begins after the end of the
    /// [`execution_timeout`](Self::execution_timeout). The waits of the policy are at least 1 ms (`AB0432`). Default:
    /// as the attribute says, `#[workflow(retry(max_attempts = 3))]`; otherwise it is not tried again.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # use std::time::Duration;
    /// # #[workflow] async fn report(day: u32) -> Result<u32, Failure> { Ok(day) }
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let initial_interval = Duration::from_secs(60);
    /// let thrice = RetryPolicy { max_attempts: 3, initial_interval, ..RetryPolicy::default() };
    /// let pages = client.start(report(7)).retry(thrice).await?.result().await?; // of the last attempt
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.timing.retry = Some(policy);
        self
    }

    /// Begins the run after this time, by the database's clock. The start is durable at once, and the workflow id
    /// taken. A message that arrives before (a signal, a request to cancel) begins the run at once. Limits count
    /// from the end of the delay. Default: it begins at once.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.timing.delay = Some(delay);
        self
    }

    /// Sets the priority of the run's activities and children that have none of their own: which tasks of a task queue
    /// go first. Claims of runs do not look at it. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.timing.priority = Some(priority);
        self
    }

    /// Starts the workflow inside your own transaction, on abide's database: it starts exactly if you commit.
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")]
    /// # mod demo {
    /// # use abide::prelude::*;
    /// # #[workflow] async fn ship(order: u64) {}
    /// # async fn demo(client: Client, pool: sqlx::SqlitePool) -> Result<(), Failure> {
    /// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?; // on Postgres: `pool.begin()`
    /// sqlx::query("INSERT INTO orders (id) VALUES (42)").execute(&mut *tx).await?;
    /// client.start(ship(42)).id("order-42").within(&mut *tx).await?;
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    ///
    /// Request ids and id policies apply as usual. Your commit notifies no worker: a worker finds the start
    /// within 50 ms (SQLite) or a second (Postgres). Until you commit, nothing else can see the execution of
    /// the returned handle.
    ///
    /// # Errors
    /// Those of a start; `AB0516` if the connection is of another database; `AB0515` if other transactions
    /// were in the way. After an error, your transaction contains nothing of the start.
    pub fn within<'c, C: TransactionConnection>(
        self,
        connection: &'c mut C,
    ) -> BoxFuture<'c, Result<Handle<W>>> {
        // Boxed, so that the connection's type is not part of the future, and a wrong type is reported once.
        Box::pin(async move {
            let checked = self.checked(None)?;
            checked.run_within(connection).await
        })
    }

    /// Refuses a call in the body of a transactional activity that holds the lock of the database.
    pub(super) fn outside(&self) -> Result<()> {
        self.client.abide.outside()
    }

    /// Checks everything that can be refused without the store. `update`: the one that goes with it.
    pub(super) fn checked(self, update: Option<Sent>) -> Result<Checked<W>> {
        let input = self.input?;
        let options = W::options();
        let queue = self.queue.or_else(|| options.task_queue.as_deref().map(Arc::from));
        let queue = queue.or_else(|| self.client.queue.clone());
        let queue = queue.map_or_else(|| queue_here::<W>(&self.client), Ok)?;
        let now_ms = self.client.abide.store().now_ms();
        let run_id = self.client.abide.host().run_id(now_ms);
        let workflow_id = self.id.unwrap_or_else(|| run_id.clone());
        check_id("workflow id", &workflow_id)?;
        check_id("task queue", &queue)?;
        self.request_id.as_deref().map_or(Ok(()), check_request_id)?;
        let brings = !self.signals.is_empty() || update.is_some();
        let of_start = (workflow_id.as_str(), self.request_id.as_deref());
        let first = first_messages(&self.client, of_start, self.signals, update)?;
        let id = self.client.abide.store().execution_id();
        let with = first.iter().map(|message| message_to(id, message, now_ms)).collect();
        let update = first.last().filter(|last| matches!(last, FirstMessage::Update { .. })).cloned();
        let timing = Timing { first, ..self.timing };
        let default = if brings { IdConflictPolicy::UseExisting } else { IdConflictPolicy::Fail };
        let conflict = self.conflict.unwrap_or(default);
        let new = NewExecution {
            id,
            workflow_id,
            run_id,
            request_id: self.request_id,
            workflow_type: W::NAME.to_owned(),
            queue: queue.as_ref().to_owned(),
            input: input.as_json().to_owned(),
            created_at_ms: now_ms,
            terms: timing.terms(W::NAME, options, now_ms)?,
            reuse: self.reuse,
            conflict,
            terminate_event: (conflict == IdConflictPolicy::TerminateExisting).then(terminate_event),
            with,
        };
        Ok(Checked { client: self.client, new, update, workflow: PhantomData })
    }

    /// As what a schedule starts. The runs have ids of their own, which its policies would never meet.
    pub(super) fn template(self, schedule: &str) -> Result<Action> {
        let options = [
            (self.request_id.is_some(), "request_id"),
            (self.reuse != IdReusePolicy::default(), "id_reuse_policy"),
            (self.conflict.is_some(), "id_conflict_policy"),
        ];
        if let Some((_, option)) = options.into_iter().find(|(is, _)| *is) {
            let message = format!(
                "{}: what schedule `{schedule}` starts has `.{option}(..)`, which the runs of a schedule cannot have: \
                 each has an id of its own, and is started once",
                Code::ScheduleSpec
            );
            return Err(Error::ScheduleRefused { message });
        }
        let input = self.input?;
        let of_attribute = W::options();
        let queue = self.queue.or_else(|| of_attribute.task_queue.as_deref().map(Arc::from));
        let queue = queue.or_else(|| self.client.queue.clone());
        let queue = queue.map_or_else(|| queue_here::<W>(&self.client), Ok)?;
        check_id("task queue", &queue)?;
        let prefix = self.id.unwrap_or_else(|| schedule.to_owned());
        check_schedule_id("workflow id", &prefix)?;
        let first = first_messages(&self.client, (&prefix, None), self.signals, None)?;
        let (context, spans) = Timing { first, ..self.timing }.checked(W::NAME, of_attribute)?;
        Ok(Action {
            workflow_type: W::NAME.to_owned(),
            queue: queue.as_ref().to_owned(),
            prefix,
            input,
            delay_ms: spans.delay_ms,
            execution_timeout_ms: spans.execution_timeout_ms,
            context,
        })
    }
}

/// A start that only the store may refuse.
pub(super) struct Checked<W> {
    client: Client,
    new: NewExecution,
    /// The update that goes with it.
    pub(super) update: Option<FirstMessage>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowHandle> Checked<W> {
    pub(super) async fn run(self) -> Result<Handle<W>> {
        let (started, workflow_id) = begun(&self.client, &self.new);
        let answer = submit(&self.client, self.new).await?;
        of_answer(self.client, started, workflow_id, answer)
    }

    /// The same on a user's connection.
    pub(super) async fn run_within<C: TransactionConnection>(self, connection: &mut C) -> Result<Handle<W>> {
        let Self { client, new, .. } = self;
        if new.conflict == IdConflictPolicy::TerminateExisting {
            return Err(Error::NotWithin);
        }
        let (started, workflow_id) = begun(&client, &new);
        let (execution, queue) = (new.id, new.queue.clone());
        let answer = client.abide.store().start_within(user_connection(connection)?, new).await?;
        if matches!(answer, StartAnswer::Started) {
            client.look_later(execution, &queue, W::NAME);
        }
        of_answer(client, started, workflow_id, answer)
    }
}

impl<W: WorkflowHandle> IntoFuture for Start<W> {
    type Output = Result<Handle<W>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.outside()?;
            self.checked(None)?.run().await
        })
    }
}

impl<W: WorkflowHandle> Handle<W> {
    fn of_row(client: Client, row: &ExecutionRow) -> Result<Self> {
        super::handle::check_type::<W>(row)?;
        Ok(Self::new(UntypedHandle::of_row(client, row)))
    }
}

/// The handle of a start that is not yet submitted. Its watch is taken before: an empty workflow has closed
/// when the start is acknowledged.
fn begun(client: &Client, new: &NewExecution) -> (UntypedHandle, String) {
    let watch = Arc::new(client.abide.hub().watch(new.id));
    (UntypedHandle::of_start(client.clone(), new, watch), new.workflow_id.clone())
}

fn of_answer<W: WorkflowHandle>(
    client: Client,
    started: UntypedHandle,
    workflow_id: String,
    answer: StartAnswer,
) -> Result<Handle<W>> {
    match answer {
        StartAnswer::Started => Ok(Handle::new(started)),
        StartAnswer::Known(row) | StartAnswer::Existing(row) => Handle::of_row(client, &row),
        StartAnswer::Taken(row) => Err(Error::WorkflowIdTaken { workflow_id, run_id: row.run_id }),
        StartAnswer::Refused(row) => Err(Error::IdReuseRefused { workflow_id, run_id: row.run_id }),
    }
}

fn queue_here<W: WorkflowHandle>(client: &Client) -> Result<Arc<str>> {
    let queue = client.abide.hub().queue_of(W::NAME);
    queue.ok_or_else(|| Error::NoTaskQueue { workflow_type: W::NAME.to_owned() })
}

fn terminate_event() -> String {
    let reason =
        "another run of this workflow id was started with IdConflictPolicy::TerminateExisting".to_owned();
    crate::wire::to_json(&Event::Terminated { reason })
}
