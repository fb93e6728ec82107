//! Calls of workflows: `Ship::run(parcel).await`, and with options of its own,
//! `Ship::run(parcel).id("ship-7").task_queue("ships").await`.

use super::command::{self, ChildSeen, Scheduled};
use super::handle::{ChildHandle, ToChild};
use super::options::CallOptions;
use crate::call_error::CallError;
use crate::child::ParentClosePolicy;
use crate::def::WorkflowDef;
use crate::exec::context;
use crate::guard::engine_future;
use crate::messages::Messages;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Payload, PayloadError};
use crate::policy::{CancellationType, RetryPolicy, millis};
use crate::queueing::Priority;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A call of a workflow. A client starts it: `client.start(Ship::run(parcel))`. A workflow awaits it as its child.
///
/// The arguments are encoded at once, so that the call is `Send` whatever types they have. If they cannot be
/// encoded, the start or the await returns the error.
///
/// In a workflow its output is `Result<T, ChildError<E>>` for a workflow that returns `Result<T, E>`, and
/// `Result<T, CallError>` for one that returns `T`. The child is scheduled at the first poll, and asked to cancel
/// when the call is dropped before the child's end. If it is awaited again by reference after its end, the
/// execution is suspended with `AB0218`.
#[must_use = "a workflow call does nothing until a client starts it or a workflow awaits it"]
pub struct WorkflowCall<W> {
    /// Until the child is scheduled.
    input: Option<Result<Payload, PayloadError>>,
    scheduled: Option<Scheduled>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> WorkflowCall<W> {
    /// Encodes the arguments.
    pub fn new(args: &W::Args) -> Self {
        context::refuse_in_query(format_args!("called the workflow `{}`", W::NAME));
        Self { input: Some(args.encode()), scheduled: None, workflow: PhantomData }
    }

    /// Returns the encoded arguments.
    ///
    /// # Panics
    /// If a workflow has awaited the call before.
    pub fn into_input(mut self) -> Result<Payload, PayloadError> {
        self.input.take().unwrap_or_else(|| command::again::<W>())
    }

    /// In a workflow: sets the child's workflow id. See [`ChildCall::id`].
    pub fn id(self, workflow_id: impl AsRef<str>) -> ChildCall<W> {
        ChildCall::new(self).id(workflow_id)
    }

    /// In a workflow: sets the child's task queue. See [`ChildCall::task_queue`].
    pub fn task_queue(self, queue: impl AsRef<str>) -> ChildCall<W> {
        ChildCall::new(self).task_queue(queue)
    }

    /// In a workflow: sets what happens to the child if this workflow closes before it. See
    /// [`ChildCall::parent_close`].
    pub fn parent_close(self, policy: ParentClosePolicy) -> ChildCall<W> {
        ChildCall::new(self).parent_close(policy)
    }

    /// In a workflow: sets what a drop of the awaited call does. See [`ChildCall::cancellation`].
    pub fn cancellation(self, kind: CancellationType) -> ChildCall<W> {
        ChildCall::new(self).cancellation(kind)
    }

    /// In a workflow: sets when the child is tried again after it has failed. See [`ChildCall::retry`].
    pub fn retry(self, policy: RetryPolicy) -> ChildCall<W> {
        ChildCall::new(self).retry(policy)
    }

    /// In a workflow: limits each run of the child. See [`ChildCall::run_timeout`].
    pub fn run_timeout(self, limit: Duration) -> ChildCall<W> {
        ChildCall::new(self).run_timeout(limit)
    }

    /// In a workflow: limits all runs of the child together. See [`ChildCall::execution_timeout`].
    pub fn execution_timeout(self, limit: Duration) -> ChildCall<W> {
        ChildCall::new(self).execution_timeout(limit)
    }

    /// In a workflow: starts the child. See [`ChildCall::start`].
    pub fn start(self) -> ChildStart<W> {
        ChildCall::new(self).start()
    }

    /// Schedules the child at the first poll.
    fn schedule(&mut self, options: Option<&CallOptions>) -> Result<(), CallError> {
        let Some(input) = self.input.take() else { return Ok(()) };
        let ctx = context::expect(command::AWAITED);
        let scheduled = match options {
            Some(options) => command::schedule::<W>(&ctx, input, options),
            None => command::schedule::<W>(&ctx, input, &CallOptions::of::<W>()),
        };
        self.scheduled = scheduled?;
        Ok(())
    }

    fn poll_end(&mut self, options: Option<&CallOptions>, cx: &Context<'_>) -> Poll<ChildSeen<W>> {
        if let Err(error) = self.schedule(options) {
            return Poll::Ready(Err(error.into()));
        }
        let Some(scheduled) = &self.scheduled else {
            return if context::is_halted() { Poll::Pending } else { command::again::<W>() };
        };
        let ctx = scheduled.ctx();
        let ended = ctx.tables.children.borrow_mut().poll(scheduled.child, || ctx.register(cx));
        let Poll::Ready(ended) = ended else { return Poll::Pending };
        // It has ended, so that its drop cancels nothing.
        self.scheduled = None;
        let id = options.and_then(|options| options.id.as_deref()).unwrap_or_default();
        command::seen::<W>(&ctx, ended, id).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<W: WorkflowDef> Future for WorkflowCall<W> {
    type Output = ChildSeen<W>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_end(None, cx)
    }
}

engine_future!([W: WorkflowDef] WorkflowCall<W>);

/// The call of a workflow with options of its own, to be awaited or started in a workflow. No client takes it:
/// the options of a client's start are methods of `Start`.
#[must_use = "a child does nothing until it is awaited or started"]
pub struct ChildCall<W> {
    call: WorkflowCall<W>,
    options: CallOptions,
    // Workflow futures stay on their thread.
    here: PhantomData<*const ()>,
}

impl<W: WorkflowDef> ChildCall<W> {
    pub(super) fn new(call: WorkflowCall<W>) -> Self {
        Self { call, options: CallOptions::of::<W>(), here: PhantomData }
    }

    /// Sets the child's workflow id, 1 to 1,000 characters (`AB0412`). If an open run has it, the child is not
    /// started, and the call fails with `IdTaken`. Default: `<this run's id>/<number>`, which cannot be taken.
    pub fn id(mut self, workflow_id: impl AsRef<str>) -> Self {
        self.options.id = Some(workflow_id.as_ref().to_owned());
        self
    }

    /// Sets the child's task queue, 1 to 1,000 characters (`AB0412`). Default: this workflow's.
    pub fn task_queue(mut self, queue: impl AsRef<str>) -> Self {
        self.options.task_queue = Some(queue.as_ref().to_owned());
        self
    }

    /// Sets what happens to the child if this workflow closes before it. Default:
    /// [`ParentClosePolicy::Terminate`].
    pub fn parent_close(mut self, policy: ParentClosePolicy) -> Self {
        self.options.options.parent_close = policy;
        self
    }

    /// Sets what a drop of the awaited call does. Default: [`CancellationType::WaitCancellationCompleted`]: the
    /// child is asked to cancel, and this workflow closes only after it has ended.
    pub fn cancellation(mut self, kind: CancellationType) -> Self {
        self.options.cancellation = kind;
        self
    }

    /// Sets when and how often the child is tried again: a run of it that has failed, or has reached its
    /// `run_timeout`, is followed by another with the same arguments. This workflow sees the end of the last one
    /// only. The waits of the policy are at least 1 ms (`AB0432`). Default: as the child's attribute says, otherwise
    /// it is not tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.options.retry = Some(policy);
        self
    }

    /// Limits each run of the child. At least 1 ms (`AB0430`). Default: none.
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.options.options.run_timeout_ms = Some(millis(limit));
        self
    }

    /// Limits all runs of the child together: retries and continued runs. At least 1 ms (`AB0430`). Default: none.
    pub fn execution_timeout(mut self, limit: Duration) -> Self {
        self.options.options.execution_timeout_ms = Some(millis(limit));
        self
    }

    /// Sets the priority of the child's activities and children that have none of their own. Default: that of this
    /// workflow.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.options.priority = Some(priority);
        self
    }

    /// Starts the child. Await it for the child's [`ChildHandle`]. The child then goes on whatever becomes of the
    /// handle.
    pub fn start(self) -> ChildStart<W> {
        ChildStart { call: self }
    }
}

impl<W: WorkflowDef> Future for ChildCall<W> {
    type Output = ChildSeen<W>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.call.poll_end(Some(&this.options), cx)
    }
}

engine_future!([W: WorkflowDef] ChildCall<W>);

/// The start of a child. Its await gives the child's [`ChildHandle`] once the child is recorded: at once, or, if
/// the child has an id of its own, with the next turn. A drop before that cancels the child.
#[must_use = "a child does nothing until it is awaited or started"]
pub struct ChildStart<W> {
    call: ChildCall<W>,
}

impl<W: Messages<ToChild>> Future for ChildStart<W> {
    type Output = Result<ChildHandle<W>, <W::Outcome as Outcome>::ChildSeen>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ChildCall { call, options, .. } = &mut self.call;
        if let Err(error) = call.schedule(Some(options)) {
            return Poll::Ready(Err(error.into()));
        }
        let Some(scheduled) = &mut call.scheduled else {
            return if context::is_halted() { Poll::Pending } else { command::again::<W>() };
        };
        let ctx = scheduled.ctx();
        let started = ctx.tables.children.borrow_mut().poll_start(scheduled.child, || ctx.register(cx));
        let Poll::Ready(started) = started else { return Poll::Pending };
        scheduled.disarm();
        let Some(Scheduled { child, .. }) = call.scheduled.take().filter(|_| started) else {
            let id = options.id.clone().unwrap_or_default();
            return Poll::Ready(Err(CallError::IdTaken(id).into()));
        };
        Poll::Ready(Ok(ChildHandle::new(ctx, child)))
    }
}

engine_future!([W: Messages<ToChild>] ChildStart<W>);
