//! Answers: what became of a command that its commit can refuse (PROTOCOL 33).
//!
//! The store inserts one inbox row for each such command, also for a success. The row is an input. The future that
//! waits resolves by that input only, so the result is the same live and replayed, and after any crash.

pub(crate) mod table;

use crate::code::Code;
use crate::event::Event;
use crate::exec::Execution;
use crate::exec::context::Context as Shared;
use crate::ids::EventId;
use std::rc::Rc;
use std::task::{Context, Poll};
use table::Answer;

/// The most unanswered commands of one execution.
pub(crate) const MAX_UNANSWERED: usize = 2_000;

/// A command whose answer a future waits for. Its drop leaves the command as it is.
pub(crate) struct Awaited {
    ctx: Rc<Shared>,
    command: EventId,
}

impl Awaited {
    /// Waits for the answer to `command`, which was issued just now.
    pub(crate) fn new(ctx: &Rc<Shared>, command: EventId) -> Self {
        ctx.tables.answers.borrow_mut().add(command, ctx.site());
        Self { ctx: Rc::clone(ctx), command }
    }

    /// Refuses a further command at the limit, before it is issued. The error is for the caller.
    pub(crate) fn check_limit(ctx: &Shared) -> Result<(), String> {
        match ctx.tables.answers.borrow().unanswered() < MAX_UNANSWERED {
            true => Ok(()),
            false => Err(format!(
                "{}: 2,000 messages and starts of this execution are unanswered: await some before sending more",
                Code::TooManyUnanswered
            )),
        }
    }

    /// Takes the answer. It is returned once.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Answer> {
        self.ctx.tables.answers.borrow_mut().poll(self.command, || self.ctx.register(cx))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if self.ctx.is_given_up() {
            self.ctx.tables.answers.borrow_mut().dropped(self.command);
        }
    }
}

impl Execution {
    /// Takes in an answer. A command that is unknown, or was answered before, leaves no event.
    pub(crate) fn answered(&mut self, command: EventId, refused: Option<String>) {
        if self.ctx.tables.answers.borrow().awaits(command) {
            self.record(Event::Answered { command, refused });
        }
    }

    /// Whether the command waits for its answer. The answer of another command is of a commit that this state does not
    /// have: the state must be loaded again.
    pub fn awaits_answer(&self, command: EventId) -> bool {
        self.ctx.tables.answers.borrow().awaits(command)
    }
}
