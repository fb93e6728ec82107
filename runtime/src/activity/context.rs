//! The facts about a running attempt, carried by a task-local.
//!
//! User code can only read it. Outside of an activity (for example in a unit test that calls the body) there
//! is a detached context, so that a body need not know its caller.

use super::heartbeat::Beats;
use super::info::AttemptInfo;
use super::later::{Later, token_text};
use super::publisher::Publishes;
use super::waits::{InSlot, Waiting};
use crate::store::TaskKey;
use abide_core::{Code, EventId, HeartbeatError, Persist, PublishError};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    pub(crate) static CURRENT: ActivityContext;
}

/// The context of the attempt that runs in this task. In a task spawned by the activity's body, and outside
/// of activities, it is detached: attempt 1, no deadline, never cancelled. Call this before you spawn, and
/// move the context.
pub fn context() -> ActivityContext {
    CURRENT.try_with(ActivityContext::clone).unwrap_or_else(|_| ActivityContext::detached())
}

/// The attempt, its activity, and when it should stop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ActivityContext {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    info: AttemptInfo,
    activity_type: &'static str,
    deadline: Option<Instant>,
    token: CancellationToken,
    /// Cancelled when its worker begins to stop.
    stopping: CancellationToken,
    beats: Arc<Beats>,
    /// The slot in which the attempt runs.
    slot: Option<InSlot>,
    /// Whether the engine's messages about the attempt may show values.
    shows_values: bool,
    outlet: Publishes,
    /// The attempt's row, if it is a task.
    task: Option<TaskKey>,
    /// Shared by all contexts of the attempt.
    later: Arc<Later>,
}

/// Whether the engine's messages about the attempt that runs in this task may show values.
pub(crate) fn shows_values() -> bool {
    CURRENT.try_with(|context| context.inner.shows_values).unwrap_or(false)
}

/// Records that the activity of this task waits for the workflow `awaited`, until the returned value is
/// dropped. `None` if no activity runs in this task.
pub(crate) fn wait_for(awaited: &str) -> Option<Waiting> {
    let waiting = CURRENT.try_with(|context| {
        let Inner { info, activity_type, slot, .. } = &*context.inner;
        Some(slot.as_ref()?.wait_for(activity_type, info, awaited))
    });
    waiting.ok().flatten()
}

impl ActivityContext {
    pub(crate) fn new(
        info: AttemptInfo,
        activity_type: &'static str,
        deadline: Option<Instant>,
        token: CancellationToken,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                info,
                activity_type,
                deadline,
                token,
                stopping: CancellationToken::new(),
                beats: Beats::unheard(),
                slot: None,
                shows_values: false,
                outlet: Publishes::Nowhere,
                task: None,
                later: Arc::default(),
            }),
        }
    }

    /// The same attempt, with its slot.
    pub(crate) fn in_slot(mut self, slot: InSlot) -> Self {
        // The context is new, so it has no clone yet.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.slot = Some(slot);
        }
        self
    }

    /// The same attempt, with the worker's choice whether to show values.
    pub(crate) fn showing_values(mut self, show: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.shows_values = show;
        }
        self
    }

    /// The same attempt, with where its items go.
    pub(super) fn publishing(mut self, outlet: Publishes) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.outlet = outlet;
        }
        self
    }

    /// The same attempt, as a task: it has a token.
    pub(super) fn of_task(mut self, task: Option<TaskKey>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.task = task;
        }
        self
    }

    /// The same attempt, with its heartbeats, and the token of its worker's end.
    pub(crate) fn beating(mut self, beats: Arc<Beats>, stopping: CancellationToken) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            (inner.beats, inner.stopping) = (beats, stopping);
        }
        self
    }

    /// Whether its body has said that it is completed later.
    pub(super) fn later(&self) -> &Arc<Later> {
        &self.inner.later
    }

    /// The same attempt, with this much time left until its deadline.
    pub(crate) fn with_time_left(&self, left: Option<Duration>) -> Self {
        let deadline = left.and_then(|left| Instant::now().checked_add(left));
        Self { inner: Arc::new(Inner { deadline, ..Inner::clone(&self.inner) }) }
    }

    fn detached() -> Self {
        let name: Arc<str> = Arc::from("detached");
        let info = AttemptInfo {
            workflow_id: Arc::clone(&name),
            run_id: Arc::clone(&name),
            workflow_type: name,
            activity: EventId(0),
            attempt: 1,
        };
        Self::new(info, "detached", None, CancellationToken::new())
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.inner.info.attempt
    }

    /// A key for this call of the activity, `<run id>/<number of its event>`: the same in every attempt, also
    /// after a crash. Pass it to the service that you call: if the activity runs twice, the service charges
    /// once.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.inner.info.run_id, self.inner.info.activity)
    }

    /// The time at which this attempt is given up: start-to-close or schedule-to-close, whichever is earlier.
    /// `None` without either.
    pub fn deadline(&self) -> Option<std::time::Instant> {
        self.inner.deadline.map(Instant::into_std)
    }

    /// The time until [`ActivityContext::deadline`].
    pub fn time_left(&self) -> Option<Duration> {
        self.inner.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Resolves when the attempt should stop: its workflow has dropped or cancelled it, a limit ran out, or
    /// the worker shuts down. The future borrows nothing. It is only a request to stop; but the engine drops
    /// the attempt when a limit runs out and at the end of a shutdown's grace period.
    ///
    /// **Return an error if the work is not done.** `Ok` says that the work is done, and is recorded as the
    /// activity's result: after a shutdown the next worker would not run it again.
    ///
    /// ```
    /// # use abide::Failure;
    /// # async fn copy_next_block() -> bool { false }
    /// async fn copy() -> Result<(), Failure> {
    ///     let context = abide::activity::context();
    ///     loop {
    ///         tokio::select! {
    ///             () = context.cancelled() => return Err(Failure::new("asked to stop")), // tidy up first
    ///             more = copy_next_block() => if !more { return Ok(()) },
    ///         }
    ///     }
    /// }
    /// ```
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        // The future owns its token: in a `select!`, a context that is created in the branch's expression is
        // dropped before the future.
        self.inner.token.clone().cancelled_owned()
    }

    /// Whether [`ActivityContext::cancelled`] has resolved.
    pub fn is_cancelled(&self) -> bool {
        self.inner.token.is_cancelled()
    }

    /// The same condition as a token, for code that takes one.
    pub fn cancellation_token(&self) -> CancellationToken {
        // A child token: code that receives it can cancel only its own work.
        self.inner.token.child_token()
    }

    /// Publishes `item` into the stream `stream` of the run that called this activity, for readers outside: tokens as
    /// they come, progress. Readers use [`HandleCore::stream`](crate::HandleCore::stream).
    ///
    /// Items are buffered, and written 100 ms after the first of them, or once they are 64 KiB; then this waits for the
    /// write. All are written before the attempt's outcome is recorded. A repeated attempt publishes again, and each
    /// item says which attempt published it. In a unit test that calls the body, items are dropped.
    ///
    /// Fails if the item cannot be encoded (`AB0403`) or is over 2 MiB (`AB0405`), if the name has not 1 to 100
    /// characters (`AB0412`), and in a transactional activity or after the attempt's end (`AB0442`). A body that blocks
    /// its thread calls it by `tokio::runtime::Handle::current().block_on(..)`.
    ///
    /// ```
    /// # use abide::Failure;
    /// # async fn next_token() -> Option<String> { None }
    /// async fn answer() -> Result<String, Failure> {
    ///     let (context, mut text) = (abide::activity::context(), String::new());
    ///     while let Some(token) = next_token().await {
    ///         context.publish("tokens", &token).await?;
    ///         text += &token;
    ///     }
    ///     Ok(text)
    /// }
    /// ```
    pub async fn publish<T: Serialize + Sync + ?Sized>(
        &self,
        stream: &str,
        item: &T,
    ) -> Result<(), PublishError> {
        self.inner.outlet.publish(stream, item).await
    }

    /// The token of this attempt, for [`Client::activity`](crate::Client::activity): its holder may complete the
    /// attempt, from any process, at once or after [`complete_later()`](super::complete_later). It is void once the
    /// attempt has ended: a repeated attempt has another. Treat it as an opaque text of at most 100 characters,
    /// letters, digits and `-`. It is hard to guess, but not secret from those who can read the database.
    ///
    /// In a unit test that calls the body, it is a text that no client accepts.
    ///
    /// # Panics
    /// With `AB0429` if the attempt has no token: the activity's attribute has not the word `complete_later`.
    pub fn completion_token(&self) -> String {
        match self.inner.task {
            Some(task) => token_text(task, self.inner.activity_type),
            None if self.inner.slot.is_none() => "abide-activity-of-a-unit-test".to_owned(),
            None => panic!(
                "{}: activity `{}` has no token, since it runs in its workflow's worker: write \
                 `#[activity(complete_later)]`",
                Code::ActivityToken,
                self.inner.activity_type
            ),
        }
    }

    /// Tells that the attempt is alive, and where it is. The next attempt, in this worker or in another, begins with
    /// the last details that were told: [`last_heartbeat`](ActivityContext::last_heartbeat).
    ///
    /// **It is also where an activity learns to stop**: it fails with [`HeartbeatError::Cancelled`] once the attempt
    /// should stop, see [`cancelled`](ActivityContext::cancelled). The details are kept nevertheless. Details that
    /// cannot be kept, or that have more than 256 KiB of JSON (AB0620), give [`HeartbeatError::Invalid`].
    ///
    /// It waits for nothing and may be called as often as there is something to tell. It starts the limit of the
    /// attribute's `heartbeat_timeout` again. With this limit, or with a task queue, details are written to the
    /// database: the first at once, further ones when 0.8 of the limit has passed (1 to 60 s, and 30 s without a
    /// limit), those of all attempts of a worker together. So after a crash the next attempt may begin somewhat further
    /// back. If an attempt fails, or its worker shuts down, the next attempt has its last details. Without limit and
    /// task queue, they stay in the memory of the worker. In a transactional activity on SQLite, they stay in memory
    /// while it runs.
    ///
    /// In a unit test that calls the body it only checks the details.
    ///
    /// ```
    /// use abide::prelude::*;
    ///
    /// # async fn store(line: &str) -> Result<(), Failure> { Ok(()) }
    /// #[activity(start_to_close = "2h", heartbeat_timeout = "30s")]
    /// async fn import(lines: Vec<String>) -> Result<usize, Failure> {
    ///     let context = activity::context();
    ///     let mut done = context.last_heartbeat::<usize>().unwrap_or(0);
    ///     while let Some(line) = lines.get(done) {
    ///         store(line).await?;
    ///         done += 1;
    ///         context.heartbeat(&done)?;
    ///     }
    ///     Ok(done)
    /// }
    /// ```
    pub fn heartbeat<T: Persist>(&self, details: &T) -> Result<(), HeartbeatError> {
        self.inner.beats.beat(details)?;
        if self.is_cancelled() { Err(HeartbeatError::Cancelled) } else { Ok(()) }
    }

    /// The details of the last heartbeat of the attempts before this one. `None` if there was none, or if it is no `T`
    /// (which is logged: `T` should read what older versions of the activity have told).
    pub fn last_heartbeat<T: Persist>(&self) -> Option<T> {
        self.inner.beats.before(self.inner.activity_type)
    }

    /// Resolves when the worker begins to stop: at the beginning of its shutdown, before
    /// [`shutdown_grace`](crate::WorkerBuilder::shutdown_grace) ends and the attempt is asked to stop, or when the
    /// worker may have lost its lease. The future borrows nothing. This is no cancellation: an activity that takes
    /// longer than the grace tells where it is by [`heartbeat`](ActivityContext::heartbeat) and returns an error, and
    /// the next attempt goes on from there.
    ///
    /// ```
    /// # use abide::Failure;
    /// # async fn copy_block(number: u64) -> Result<bool, Failure> { Ok(false) }
    /// async fn copy() -> Result<(), Failure> {
    ///     let context = abide::activity::context();
    ///     let mut block = context.last_heartbeat::<u64>().unwrap_or(0);
    ///     while copy_block(block).await? {
    ///         block += 1;
    ///         context.heartbeat(&block)?;
    ///         if context.is_worker_shutting_down() {
    ///             return Err(Failure::new("the worker stops"));
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn worker_shutting_down(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        self.inner.stopping.clone().cancelled_owned()
    }

    /// Whether the worker has begun to stop; see [`worker_shutting_down`](ActivityContext::worker_shutting_down).
    pub fn is_worker_shutting_down(&self) -> bool {
        self.inner.stopping.is_cancelled()
    }

    /// The workflow id of the execution that called it.
    pub fn workflow_id(&self) -> &str {
        &self.inner.info.workflow_id
    }

    /// The run id of the execution that called it.
    pub fn run_id(&self) -> &str {
        &self.inner.info.run_id
    }

    /// The workflow type of the execution that called it.
    pub fn workflow_type(&self) -> &str {
        &self.inner.info.workflow_type
    }

    /// The activity's name: `charge`, `Payments.charge`.
    pub fn activity_type(&self) -> &str {
        self.inner.activity_type
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn detached_outside_and_in_spawned_tasks() {
        let outside = context();
        assert_eq!((outside.attempt(), outside.is_cancelled(), outside.deadline()), (1, false, None));
    }

    #[tokio::test]
    async fn the_key_does_not_depend_on_the_attempt() {
        let name: Arc<str> = Arc::from("r1");
        let of = |attempt| {
            let info = AttemptInfo {
                workflow_id: Arc::clone(&name),
                run_id: Arc::clone(&name),
                workflow_type: Arc::clone(&name),
                activity: EventId(7),
                attempt,
            };
            ActivityContext::new(info, "charge", None, CancellationToken::new())
        };
        let key = CURRENT.scope(of(3), async { context().idempotency_key() }).await;
        assert_eq!(key, "r1/7");
        assert_eq!(of(1).idempotency_key(), key);
    }
}
