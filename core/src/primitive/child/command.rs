//! The commands about children, and what their futures do at a poll and at a drop.

use super::options::CallOptions;
use super::table::Ended;
use crate::call_error::CallError;
use crate::child::{Birth, ChildEnd, ChildIds};
use crate::code::Code;
use crate::def::WorkflowDef;
use crate::event::Event;
use crate::exec::command::Command;
use crate::exec::context::{self, Context as Shared};
use crate::exec::suspension::Suspension;
use crate::failure::{FailureKind, FailureRecord};
use crate::fault::Fault;
use crate::ids::EventId;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Encoded, Payload, PayloadError};
use crate::policy::CancellationType;
use crate::primitive::answer::Awaited;
use std::marker::PhantomData;
use std::rc::Rc;

/// The most open children of one execution: Temporal's limit.
pub(crate) const MAX_OPEN_CHILDREN: usize = 2_000;

/// The most parents above a child, so that a recursion ends with an error and not with a full disk.
const MAX_DEPTH: u32 = 1_000;

/// What awaiting a child of `W` returns.
pub type ChildSeen<W> =
    Result<<<W as WorkflowDef>::Outcome as Outcome>::Ok, <<W as WorkflowDef>::Outcome as Outcome>::ChildSeen>;

/// What is told where a call is awaited outside of a workflow.
pub(super) const AWAITED: &str =
    "the await of a workflow's call, which starts a child (a client starts it: `client.start(..)`),";

/// A child that was scheduled. It is `Send`, because calls are: it names its execution and does not hold it.
/// A drop cancels the child.
pub(super) struct Scheduled {
    execution: u64,
    pub(super) child: EventId,
    armed: bool,
}

impl Scheduled {
    /// The context of its execution.
    ///
    /// # Panics
    /// In another execution, or outside of any.
    pub(super) fn ctx(&self) -> Rc<Shared> {
        self.here().unwrap_or_else(|| context::outside("the call of a child of another run"))
    }

    fn here(&self) -> Option<Rc<Shared>> {
        context::current().filter(|ctx| ctx.id == self.execution)
    }

    /// The child goes on when this is dropped.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Scheduled {
    fn drop(&mut self) {
        let ctx = self.here().filter(|ctx| self.armed && ctx.is_given_up());
        ctx.into_iter().for_each(|ctx| give_up(&ctx, self.child));
    }
}

/// The call was dropped before the child's end.
fn give_up(ctx: &Shared, child: EventId) {
    let cancellation = ctx.tables.children.borrow().cancellation(child);
    let Some(cancellation) = cancellation.filter(|kind| *kind != CancellationType::Abandon) else {
        return ctx.tables.children.borrow_mut().forget(child);
    };
    let Some(issued) = ctx.issue(CancelChild { child, unborn: child > ctx.written() }) else { return };
    let mut children = ctx.tables.children.borrow_mut();
    match issued.command.unborn {
        false if cancellation == CancellationType::WaitCancellationCompleted && !mutant!(CloseOverChild) => {
            children.stop(child);
        }
        unborn => {
            children.forget(child);
            if unborn {
                ctx.tables.answers.borrow_mut().forget(child);
            }
            if unborn && issued.live {
                ctx.draft().unborn.push(child);
            }
        }
    }
}

/// The call was awaited again after its end.
pub(super) fn again<W: WorkflowDef>() -> ! {
    context::polled_again(&format!("a call of workflow `{}`", W::NAME))
}

/// Schedules a child. `None`: the execution is halted.
pub(super) fn schedule<W: WorkflowDef>(
    ctx: &Rc<Shared>,
    input: Result<Payload, PayloadError>,
    call: &CallOptions,
) -> Result<Option<Scheduled>, CallError> {
    let input = input.map_err(|error| CallError::Invalid(error.to_string()))?;
    call.check(W::NAME).map_err(CallError::Invalid)?;
    let depth = ctx.info().depth + 1;
    check_limits::<W>(ctx, depth, call.id.is_some()).map_err(CallError::Invalid)?;
    let next = ctx.history_len() + 1;
    let mut options = call.options.clone();
    options.priority = options.priority.or(ctx.info().priority);
    let birth = Birth {
        child: EventId(next),
        ids: if ctx.is_replaying() { ChildIds::none() } else { ctx.lent_ids() },
        workflow_id: call.id.clone().unwrap_or_else(|| format!("{}/{next}", ctx.info().run_id)),
        named: call.id.is_some(),
        workflow_type: W::NAME.to_owned(),
        task_queue: call.task_queue.clone(),
        input,
        options,
        depth,
    };
    let Some(issued) = ctx.issue(Schedule::<W> { birth, workflow: PhantomData }) else { return Ok(None) };
    let birth = issued.command.birth;
    ctx.tables.children.borrow_mut().add(&birth, call.cancellation, ctx.site());
    if birth.named {
        // The answer is taken in as an event, and the table of children keeps it.
        drop(Awaited::new(ctx, issued.id));
    }
    if issued.live {
        ctx.draft().births.push(birth);
    }
    Ok(Some(Scheduled { execution: ctx.id, child: issued.id, armed: true }))
}

fn check_limits<W: WorkflowDef>(ctx: &Shared, depth: u32, named: bool) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!(
            "{}: workflow `{}` would be a child of 1,000 parents, one above the other: a recursion does not end",
            Code::TooDeep,
            W::NAME
        ));
    }
    if ctx.tables.children.borrow().count() >= MAX_OPEN_CHILDREN {
        return Err(format!(
            "{}: 2,000 children of this execution are open: await some before starting more",
            Code::TooManyUnanswered
        ));
    }
    if named { Awaited::check_limit(ctx) } else { Ok(()) }
}

struct Schedule<W> {
    birth: Birth,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> Command for Schedule<W> {
    fn event(&self) -> Event {
        let birth = self.birth.clone();
        Event::ChildScheduled {
            workflow_type: birth.workflow_type,
            workflow_id: birth.workflow_id,
            named: birth.named,
            execution: birth.ids.execution,
            run_id: birth.ids.run_id,
            task_queue: birth.task_queue,
            input: birth.input,
            options: Box::new(birth.options),
        }
    }

    /// Compared as an activity is: the type, the input, and the workflow id if the code gives one.
    fn same(&self, recorded: &Event) -> bool {
        match recorded {
            Event::ChildScheduled { workflow_type, workflow_id, named, input, .. } => {
                workflow_type == W::NAME
                    && *named == self.birth.named
                    && (!named || *workflow_id == self.birth.workflow_id)
                    && same_input::<W>(input, &self.birth.input)
            }
            _ => false,
        }
    }

    fn adopt(&mut self, recorded: Event) {
        if let Event::ChildScheduled { workflow_id, execution, run_id, task_queue, input, options, .. } =
            recorded
        {
            self.birth.ids = ChildIds { execution, run_id };
            (self.birth.workflow_id, self.birth.task_queue, self.birth.input) =
                (workflow_id, task_queue, input);
            self.birth.options = *options;
        }
    }
}

/// The rule of PROTOCOL 5: equal bytes, or the same JSON after both were read as today's type and written
/// again.
fn same_input<W: WorkflowDef>(recorded: &Payload, wanted: &Payload) -> bool {
    let again = |payload: &Payload| W::Args::decode(payload).ok()?.write().ok().map(Encoded::unchecked);
    recorded == wanted || matches!((again(recorded), again(wanted)), (Some(a), Some(b)) if a.is_same(&b))
}

struct CancelChild {
    child: EventId,
    /// It was scheduled in this turn, so that it is never started.
    unborn: bool,
}

impl Command for CancelChild {
    fn event(&self) -> Event {
        Event::ChildCancelRequested { child: self.child, unborn: self.unborn }
    }

    fn same(&self, recorded: &Event) -> bool {
        matches!(recorded, Event::ChildCancelRequested { child, .. } if *child == self.child)
    }

    /// Which commands were in one turn is only known when they are recorded.
    fn adopt(&mut self, recorded: Event) {
        if let Event::ChildCancelRequested { unborn, .. } = recorded {
            self.unborn = unborn;
        }
    }
}

/// What the caller sees of an end. `None`: it does not decode, and the execution is suspended.
pub(super) fn seen<W: WorkflowDef>(ctx: &Shared, ended: Ended, id: &str) -> Option<ChildSeen<W>> {
    let end = match ended {
        Ended::Taken => return Some(Err(CallError::IdTaken(id.to_owned()).into())),
        Ended::Ran(end) => end,
    };
    let (decoded, recorded) = match &end {
        ChildEnd::Completed(result) => (result.decode().map(Ok), Some(result)),
        ChildEnd::Failed(failure) => (seen_failure::<W>(failure).map(Err), failure.data.as_ref()),
        ChildEnd::Cancelled => (Ok(Err(CallError::Cancelled.into())), None),
        ChildEnd::Terminated => (Ok(Err(CallError::Terminated.into())), None),
        ChildEnd::TimedOut(kind) => (Ok(Err(CallError::TimedOut { kind: *kind, cause: None }.into())), None),
    };
    match decoded {
        Ok(seen) => Some(seen),
        Err(error) => {
            let what = format!("the recorded result of child `{}`", W::NAME);
            ctx.suspend(Suspension::undecodable(&what, &error, recorded).at(ctx.site()));
            None
        }
    }
}

/// The error that workflow code sees for a child's failure.
fn seen_failure<W: WorkflowDef>(
    failure: &FailureRecord,
) -> Result<<W::Outcome as Outcome>::ChildSeen, PayloadError> {
    if failure.kind == FailureKind::Application {
        let error = <<W::Outcome as Outcome>::Err as Fault>::from_record(failure)?;
        return Ok(<W::Outcome as Outcome>::child_seen(error));
    }
    Ok(CallError::Invalid(failure.message.clone()).into())
}
