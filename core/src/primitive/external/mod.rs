//! Messages from workflow code to other workflows (PROTOCOL 50).

use crate::call_error::MessageError;
use crate::code::Code;
use crate::def::WorkflowDef;
use crate::event::{Event, Recipient};
use crate::exec::command::Command;
use crate::exec::context::{self, Context as Shared};
use crate::guard::engine_future;
use crate::messages::{Messages, Route, SignalRoute};
use crate::payload::{Payload, PayloadError};
use crate::primitive::answer::Awaited;
use crate::text::bounded;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The most characters of a workflow id.
const MAX_ID_CHARS: usize = 1_000;

/// Names another workflow by its id: `workflow::handle::<Ship>("ship-9").hold(true).await`. If the workflow is a
/// function, use the function's name. Nothing is looked up: each message finds the run that is open when it is sent,
/// so a workflow that goes on as a new run is reached too. The workflow may also be the sender itself.
///
/// The handle has the workflow's signals as methods, and everything of [`ExternalCore`]. Each returns a
/// [`Delivery`]. Queries and results of other workflows need an activity with a client.
///
/// # Panics
/// Outside of a workflow, with `AB0210`.
pub fn handle<W: Messages<ToOther>>(workflow_id: impl Into<String>) -> ExternalHandle<W> {
    context::expect("workflow::handle");
    let core = ExternalCore { id: workflow_id.into(), workflow: PhantomData };
    ExternalHandle { methods: W::methods(core) }
}

/// The route from workflow code to other workflows: signals.
pub enum ToOther {}

impl Route for ToOther {
    type Core<W: WorkflowDef> = ExternalCore<W>;
}

impl SignalRoute for ToOther {
    type Signal<W: WorkflowDef> = Delivery;

    fn signal<W: WorkflowDef>(
        core: &ExternalCore<W>,
        name: &'static str,
        input: Result<Payload, PayloadError>,
    ) -> Delivery {
        Delivery::new(Recipient::Workflow(core.id.clone()), Message::Signal(name, input))
    }
}

/// A handle of another workflow, in workflow code; see [`handle`].
pub struct ExternalHandle<W: Messages<ToOther>> {
    methods: W::Methods,
}

impl<W: Messages<ToOther>> Deref for ExternalHandle<W> {
    type Target = W::Methods;

    fn deref(&self) -> &W::Methods {
        &self.methods
    }
}

impl<W: Messages<ToOther>> Clone for ExternalHandle<W> {
    fn clone(&self) -> Self {
        Self { methods: W::methods(ExternalCore::clone(&self.methods)) }
    }
}

/// What the handle of another workflow has besides its signals; see [`handle`].
pub struct ExternalCore<W> {
    id: String,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowDef> ExternalCore<W> {
    /// The workflow's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Asks the workflow to cancel. `reason` is for people. A workflow may have a signal of this name: the request is
    /// `ExternalCore::cancel(&handle, ..)` then.
    pub fn cancel(&self, reason: impl Into<String>) -> Delivery {
        Delivery::new(Recipient::Workflow(self.id.clone()), Message::Cancel(reason.into()))
    }
}

impl<W> Clone for ExternalCore<W> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), workflow: PhantomData }
    }
}

/// A signal or a cancel request on its way to another workflow. It is sent at the first poll, and it resolves once the
/// send is durable: `Ok` where a run was open, which then takes the message in.
///
/// A drop before the first poll sends nothing. A drop after it does not take the message back. If the future is
/// awaited again by reference after its end, the execution is suspended with `AB0218`.
#[must_use = "nothing is sent until it is awaited"]
pub struct Delivery {
    to: Recipient,
    /// Until the first poll.
    unsent: Option<Message>,
    sent: Option<Awaited>,
}

/// What is sent.
pub(crate) enum Message {
    /// A signal and its encoded arguments.
    Signal(&'static str, Result<Payload, PayloadError>),
    /// A request to cancel, with its reason.
    Cancel(String),
}

impl Delivery {
    pub(crate) fn new(to: Recipient, message: Message) -> Self {
        context::refuse_in_query(format_args!("sent a message to a workflow"));
        Self { to, unsent: Some(message), sent: None }
    }

    /// Issues the command. `None`: the execution is halted.
    fn send(&self, message: Message, ctx: &Rc<Shared>) -> Result<Option<Awaited>, MessageError> {
        check(&self.to)?;
        let event = match message {
            Message::Signal(name, input) => {
                let input = input.map_err(|error| MessageError::Invalid(error.to_string()))?;
                Event::SignalSent { to: self.to.clone(), name: name.to_owned(), input }
            }
            Message::Cancel(reason) => Event::CancelSent { to: self.to.clone(), reason: bounded(reason) },
        };
        Awaited::check_limit(ctx).map_err(MessageError::Invalid)?;
        Ok(ctx.issue(Send(event)).map(|issued| Awaited::new(ctx, issued.id)))
    }
}

/// Refuses an id that no workflow can have.
fn check(to: &Recipient) -> Result<(), MessageError> {
    let Recipient::Workflow(id) = to else { return Ok(()) };
    match id.chars().count() {
        1..=MAX_ID_CHARS => Ok(()),
        chars => Err(MessageError::Invalid(format!(
            "{}: a workflow id has 1 to 1,000 characters, this one has {chars}",
            Code::InvalidId
        ))),
    }
}

impl Future for Delivery {
    type Output = Result<(), MessageError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(message) = this.unsent.take() {
            this.sent = this.send(message, &context::expect("a message to a workflow"))?;
        }
        let Some(sent) = &this.sent else {
            if context::is_halted() {
                return Poll::Pending;
            }
            context::polled_again("a message to a workflow")
        };
        let Poll::Ready(answer) = sent.poll(cx) else { return Poll::Pending };
        this.sent = None;
        Poll::Ready(answer.map_err(|_| MessageError::NotRunning(this.to.to_string())))
    }
}

engine_future!([] Delivery);

#[cfg(test)]
mod tests;

/// The command that sends.
struct Send(Event);

impl Command for Send {
    fn event(&self) -> Event {
        self.0.clone()
    }

    /// Receiver, name and input are compared. The reason of a cancel request is a text for people.
    fn same(&self, recorded: &Event) -> bool {
        match (&self.0, recorded) {
            (
                Event::SignalSent { to, name, input },
                Event::SignalSent { to: told, name: called, input: given },
            ) => to == told && name == called && (input == given || input.is_same(given)),
            (Event::CancelSent { to, .. }, Event::CancelSent { to: told, .. }) => to == told,
            _ => false,
        }
    }
}
