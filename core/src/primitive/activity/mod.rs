//! Calling an activity: `charge(payment).start_to_close(secs(5)).await`.

pub(crate) mod attempt;
pub(crate) mod one;
pub(crate) mod table;

use crate::call_error::CallError;
use crate::code::Code;
use crate::def::ActivityDef;
use crate::event::Event;
use crate::exec::command::Command;
use crate::exec::context::{self, Context as Shared};
use crate::exec::suspension::Suspension;
use crate::exec::turn::Action;
use crate::failure::{FailureKind, FailureRecord};
use crate::fault::Fault;
use crate::guard::engine_future;
use crate::ids::EventId;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Encoded, Payload, PayloadError};
use crate::policy::{ActivityOptions, CancellationType, RetryPolicy, Runs};
use crate::queueing::Priority;
use attempt::AttemptChange;
use one::{Activity, Ended};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The most open activities of one execution: Temporal's limit.
pub(crate) const MAX_OPEN_ACTIVITIES: usize = 2_000;

/// A call of the activity `D`. It is scheduled at its first poll, and cancelled when it is dropped before its
/// end.
///
/// Its output is `Result<T, ActivityError<E>>` for an activity that returns `Result<T, E>`, and
/// `Result<T, CallError>` for one that returns `T`. If it is awaited again by reference after its end, the
/// execution is suspended with `AB0218`, because its result was already taken.
#[must_use = "an activity call does nothing until it is awaited"]
pub struct ActivityCall<D: ActivityDef> {
    input: Option<Result<Encoded, PayloadError>>,
    options: ActivityOptions,
    scheduled: Option<(Rc<Shared>, EventId)>,
    // The `Rc` above makes it `!Send`: workflow futures stay on their thread, and a spawn function that
    // requires `Send` refuses them.
    definition: PhantomData<fn() -> D>,
}

/// The output of a call of `D`.
type Seen<D> =
    Result<<<D as ActivityDef>::Outcome as Outcome>::Ok, <<D as ActivityDef>::Outcome as Outcome>::Seen>;

impl<D: ActivityDef> ActivityCall<D> {
    /// Makes a call with these arguments and the options of the activity's attribute.
    pub fn new(args: D::Args) -> Self {
        context::refuse_in_query(format_args!("called the activity `{}`", D::NAME));
        let input = Some(args.write());
        Self { input, options: D::options(), scheduled: None, definition: PhantomData }
    }

    /// Limits each attempt. At least 1 ms (`AB0430`).
    pub fn start_to_close(mut self, limit: Duration) -> Self {
        self.options.start_to_close = Some(limit);
        self
    }

    /// Limits all attempts together, from now on. At least 1 ms (`AB0430`).
    pub fn schedule_to_close(mut self, limit: Duration) -> Self {
        self.options.schedule_to_close = Some(limit);
        self
    }

    /// Limits the wait for a free slot, or for a worker of its task queue. Such a timeout is never retried.
    /// At least 1 ms (`AB0430`).
    pub fn schedule_to_start(mut self, limit: Duration) -> Self {
        self.options.schedule_to_start = Some(limit);
        self
    }

    /// Limits the time between two heartbeats of an attempt, and before the first one. An attempt that says nothing for
    /// so long is given up and tried again. At least 1 ms (`AB0430`).
    pub fn heartbeat_timeout(mut self, limit: Duration) -> Self {
        self.options.heartbeat_timeout = Some(limit);
        self
    }

    /// Sets the retry policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = policy;
        self
    }

    /// Sets the most attempts in total; 0 means no limit.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.options.retry.max_attempts = attempts;
        self
    }

    /// Sets what happens when the call is dropped before its end.
    pub fn cancellation(mut self, kind: CancellationType) -> Self {
        self.options.cancellation = kind;
        self
    }

    /// Lets the workers of this task queue run it, in any process. The name has 1 to 1,000 characters
    /// (`AB0610`). The workflow's own worker needs the function, but need not register it. If the queue is
    /// the workflow's own, all workers of that queue may run it, also this one.
    pub fn task_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.options.task_queue = Some(Arc::from(queue.as_ref()));
        self
    }

    /// Sets which tasks of the task queue go first. Needs a task queue (`AB0622`). Default: as the attribute says,
    /// `#[activity(task_queue = "stripe", priority = "high")]`; otherwise that of the workflow's start.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.queue_options_mut().priority = Some(priority);
        self
    }

    /// Lets the limits of the attribute (`most`, `rate`) count the calls of each key apart: 1 to 1,000 characters.
    /// Needs limits and a task queue (`AB0622`).
    pub fn limit_key(mut self, key: impl AsRef<str>) -> Self {
        self.options.queue_options_mut().limit_key = Some(Arc::from(key.as_ref()));
        self
    }

    /// Shares the task queue fairly: calls of one priority are served in turn by their keys, `weight` of a key (1 to
    /// 1,000) in each turn. A key has 1 to 1,000 characters. Needs a task queue (`AB0622`).
    pub fn fair(mut self, key: impl AsRef<str>, weight: u32) -> Self {
        self.options.queue_options_mut().fair = Some((Arc::from(key.as_ref()), weight));
        self
    }

    fn schedule(&mut self, ctx: &Rc<Shared>) -> Result<Option<EventId>, CallError> {
        let Some(input) = self.input.take() else { return Ok(None) };
        let strict = ctx.is_strict();
        let input = input.and_then(|input| if strict { input.kept() } else { Ok(input.unchecked()) });
        let input = input.map_err(|error| CallError::Invalid(error.to_string()))?;
        if strict {
            self.options.check_limits(D::NAME).map_err(CallError::Invalid)?;
        }
        if self.options.complete_later && self.options.task_queue.is_none() {
            self.options.task_queue = Some(Arc::from(ctx.info().task_queue.as_str()));
        }
        self.options.check(D::NAME).map_err(CallError::Invalid)?;
        if self.options.task_queue.is_some()
            && self.options.queue_options().priority.is_none()
            && let Some(priority) = ctx.info().priority
        {
            self.options.queue_options_mut().priority = Some(priority);
        }
        if ctx.tables.activities.borrow().len() >= MAX_OPEN_ACTIVITIES {
            let text = "2,000 activities of this execution are open: await some before scheduling more";
            return Err(CallError::Invalid(format!("{}: {text}", Code::TooManyActivities)));
        }
        if !ctx.is_replaying() && self.options.runs().is_here() && !ctx.knows_activity(D::NAME) {
            ctx.suspend(Suspension::unknown_activity(D::NAME).at(ctx.site()));
            return Ok(None);
        }
        let mut options = self.options.clone();
        options.keeps_heartbeats = options.heartbeat_timeout.is_some() && options.runs() == Runs::Here;
        let command = Schedule::<D> { input, options, definition: PhantomData };
        let Some(issued) = ctx.issue(command) else { return Ok(None) };
        let Schedule { input, options, .. } = issued.command;
        let activity = Activity::new(D::NAME, input, options, ctx.now_ms());
        let mut activities = ctx.tables.activities.borrow_mut();
        let start = activities.schedule(issued.id, activity, ctx.site(), issued.live);
        ctx.draft().actions.extend(start.map(Action::Start));
        self.scheduled = Some((Rc::clone(ctx), issued.id));
        Ok(Some(issued.id))
    }

    fn seen(&self, ctx: &Shared, ended: &Ended) -> Option<Seen<D>> {
        let decoded = match ended {
            Ok(result) => result.decode().map(Ok),
            Err(failure) => seen_failure::<D>(failure).map(Err),
        };
        match decoded {
            Ok(seen) => Some(seen),
            Err(error) => {
                let what = format!("the recorded result of activity `{}`", D::NAME);
                let recorded = ended.as_ref().map_or_else(|failure| failure.data.as_ref(), Some);
                ctx.suspend(Suspension::undecodable(&what, &error, recorded).at(ctx.site()));
                None
            }
        }
    }
}

impl<D: ActivityDef> Future for ActivityCall<D> {
    type Output = Seen<D>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let id = match &this.scheduled {
            Some((_, id)) => *id,
            None => {
                let ctx = context::expect("an activity call");
                match this.schedule(&ctx) {
                    Ok(Some(id)) => id,
                    // The execution is halted. This future is dropped with it.
                    Ok(None) if ctx.halted() => return Poll::Pending,
                    Ok(None) => context::polled_again(&format!("a call of activity `{}`", D::NAME)),
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
            }
        };
        let Some((ctx, _)) = this.scheduled.clone() else { return Poll::Pending };
        let ended = ctx.tables.activities.borrow_mut().poll(id, || ctx.register(cx));
        let Poll::Ready(ended) = ended else { return Poll::Pending };
        this.scheduled = None;
        this.seen(&ctx, &ended).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<D: ActivityDef> Drop for ActivityCall<D> {
    fn drop(&mut self) {
        let Some((ctx, id)) = self.scheduled.take() else { return };
        if !ctx.is_given_up() {
            return;
        }
        let dropped = ctx.tables.activities.borrow_mut().dropped(id);
        let Some(table::Dropped { action, forgets }) = dropped else { return };
        let live = match action {
            // It leaves no event.
            Action::Abandon(_) => !ctx.is_replaying(),
            _ => ctx.issue(CancelActivity { activity: id }).is_some_and(|issued| issued.live),
        };
        if live {
            let mut draft = ctx.draft();
            draft.actions.push(action);
            draft.attempts.extend(forgets.then_some(AttemptChange::Gone(id)));
        }
    }
}

engine_future!([D: ActivityDef] ActivityCall<D>);

struct Schedule<D> {
    input: Payload,
    options: ActivityOptions,
    definition: PhantomData<fn() -> D>,
}

impl<D: ActivityDef> Command for Schedule<D> {
    fn event(&self) -> Event {
        Event::ActivityScheduled {
            name: D::NAME.to_owned(),
            input: self.input.clone(),
            task_queue: self.options.task_queue.as_deref().map(str::to_owned),
            transactional: self.options.transactional,
            heartbeat: self.options.keeps_heartbeats,
        }
    }

    fn same(&self, recorded: &Event) -> bool {
        match recorded {
            Event::ActivityScheduled { name, input, .. } => {
                name == D::NAME && same_input::<D>(input, &self.input)
            }
            _ => false,
        }
    }

    /// An attribute may have changed while the activity is open, so the recorded values keep applying.
    fn adopt(&mut self, recorded: Event) {
        if let Event::ActivityScheduled { input, task_queue, transactional, heartbeat, .. } = recorded {
            self.input = input;
            (self.options.task_queue, self.options.transactional) =
                (task_queue.map(Arc::from), transactional);
            self.options.keeps_heartbeats = heartbeat;
        }
    }
}

struct CancelActivity {
    activity: EventId,
}

impl Command for CancelActivity {
    fn event(&self) -> Event {
        Event::ActivityCancelRequested { activity: self.activity }
    }

    fn same(&self, recorded: &Event) -> bool {
        *recorded == self.event()
    }
}

/// The rule of PROTOCOL 5: equal bytes, or the same JSON after both were read as today's type and written
/// again.
fn same_input<D: ActivityDef>(recorded: &Payload, wanted: &Payload) -> bool {
    recorded == wanted
        || matches!((again::<D>(recorded), again::<D>(wanted)), (Some(a), Some(b)) if a.is_same(&b))
}

/// Encodes the payload again with today's type.
fn again<D: ActivityDef>(payload: &Payload) -> Option<Payload> {
    let args = D::Args::decode(payload).ok()?;
    args.write().ok().map(Encoded::unchecked)
}

/// The error that workflow code sees for a recorded failure.
fn seen_failure<D: ActivityDef>(
    failure: &FailureRecord,
) -> Result<<D::Outcome as Outcome>::Seen, PayloadError> {
    let error = match failure.kind {
        FailureKind::Application => {
            let error = <<D::Outcome as Outcome>::Err as Fault>::from_record(failure)?;
            return Ok(<D::Outcome as Outcome>::seen(error));
        }
        FailureKind::TimedOut(kind) => {
            let cause = failure.cause.as_deref().map(seen_failure::<D>).transpose()?;
            return Ok(<D::Outcome as Outcome>::timed_out(kind, cause));
        }
        FailureKind::Cancelled => CallError::Cancelled,
        FailureKind::Panicked => CallError::Panicked(failure.message.clone()),
        FailureKind::WorkerLost | FailureKind::WorkerShutdown => CallError::WorkerLost,
        FailureKind::Invalid => CallError::Invalid(failure.message.clone()),
    };
    Ok(error.into())
}
