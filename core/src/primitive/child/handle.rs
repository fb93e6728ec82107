//! A child that runs beside its parent.

use super::command::{self, ChildSeen};
use crate::def::WorkflowDef;
use crate::event::Recipient;
use crate::exec::context::{self, Context as Shared};
use crate::guard::engine_future;
use crate::ids::EventId;
use crate::messages::{Messages, Route, SignalRoute};
use crate::payload::{Payload, PayloadError};
use crate::primitive::external::{Delivery, Message};
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A child that runs: its signals as methods, and what [`ChildCore`] has. A drop leaves the child alone.
pub struct ChildHandle<W: Messages<ToChild>> {
    methods: W::Methods,
}

impl<W: Messages<ToChild>> ChildHandle<W> {
    pub(super) fn new(ctx: Rc<Shared>, child: EventId) -> Self {
        let (id, run_id) = ctx.tables.children.borrow().ids(child);
        let core = ChildCore { held: Rc::new(Held { ctx, child, id, run_id }), workflow: PhantomData };
        Self { methods: W::methods(core) }
    }
}

impl<W: Messages<ToChild, Methods: Clone>> Clone for ChildHandle<W> {
    fn clone(&self) -> Self {
        Self { methods: self.methods.clone() }
    }
}

impl<W: Messages<ToChild>> Deref for ChildHandle<W> {
    type Target = W::Methods;

    fn deref(&self) -> &W::Methods {
        &self.methods
    }
}

/// The child that handles share. It is released with the last of them.
struct Held {
    ctx: Rc<Shared>,
    child: EventId,
    id: String,
    run_id: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.ctx.is_given_up() {
            self.ctx.tables.children.borrow_mut().release(self.child);
        }
    }
}

/// What every child can be asked, whatever its workflow.
pub struct ChildCore<W> {
    held: Rc<Held>,
    workflow: PhantomData<fn() -> W>,
}

impl<W> Clone for ChildCore<W> {
    fn clone(&self) -> Self {
        Self { held: Rc::clone(&self.held), workflow: PhantomData }
    }
}

impl<W: WorkflowDef> ChildCore<W> {
    /// Its workflow id.
    pub fn id(&self) -> &str {
        &self.held.id
    }

    /// The id of its first run.
    pub fn run_id(&self) -> &str {
        &self.held.run_id
    }

    /// Waits for its end. A drop ends the waiting only, not the child. Each call can be awaited, also after the
    /// end.
    pub fn result(&self) -> ChildResult<W> {
        context::refuse_in_query(format_args!("asked for the result of a child"));
        ChildResult { core: self.clone(), ended: false }
    }

    /// Asks it to cancel. The reason is for people. The await returns once the request is durable; that of a child
    /// that has ended does nothing.
    pub fn cancel(&self, reason: impl Into<String>) -> Delivery {
        Delivery::new(Recipient::Child(self.held.child), Message::Cancel(reason.into()))
    }
}

/// The wait of [`ChildCore::result`].
#[must_use = "futures do nothing until they are awaited"]
pub struct ChildResult<W> {
    core: ChildCore<W>,
    ended: bool,
}

impl<W: WorkflowDef> Future for ChildResult<W> {
    type Output = ChildSeen<W>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.ended && !context::is_halted() {
            command::again::<W>();
        }
        let Held { ctx, child, .. } = &*self.core.held;
        let ended = ctx.tables.children.borrow_mut().look(*child, ctx.site(), || ctx.register(cx));
        let Poll::Ready(ended) = ended else { return Poll::Pending };
        let Some(seen) = command::seen::<W>(ctx, ended, "") else { return Poll::Pending };
        self.ended = true;
        Poll::Ready(seen)
    }
}

engine_future!([W: WorkflowDef] ChildResult<W>);

/// The route from a parent to its child.
pub enum ToChild {}

impl Route for ToChild {
    type Core<W: WorkflowDef> = ChildCore<W>;
}

impl SignalRoute for ToChild {
    type Signal<W: WorkflowDef> = Delivery;

    fn signal<W: WorkflowDef>(
        core: &ChildCore<W>,
        name: &'static str,
        input: Result<Payload, PayloadError>,
    ) -> Delivery {
        Delivery::new(Recipient::Child(core.held.child), Message::Signal(name, input))
    }
}
