//! Permits that tasks take in the order they asked: what semaphore, mutex and channel stand on.
//!
//! The order of the waiters depends on the order of the polls alone, and that is the same on replay. The first waiter
//! alone may take a permit, so that a later one never overtakes it between its wake-up and its poll.

use crate::exec::context::{self, Context as Shared};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Default)]
struct Inner {
    free: usize,
    is_closed: bool,
    next: u64,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    ticket: u64,
    waker: Waker,
}

/// Some permits and those who wait for one. Clones are the same gate.
#[derive(Clone, Default)]
pub(super) struct Gate(Rc<RefCell<Inner>>);

/// The gate was closed and has no free permit.
pub(super) struct Closed;

impl Gate {
    pub(super) fn new(free: usize) -> Self {
        Self(Rc::new(RefCell::new(Inner { free, ..Inner::default() })))
    }

    /// A future's turn to take one permit.
    pub(super) fn turn(&self, what: &'static str) -> Turn {
        Turn { gate: self.clone(), what, wait: None, is_over: false }
    }

    pub(super) fn free(&self) -> usize {
        self.0.borrow().free
    }

    /// Gives back one permit.
    pub(super) fn give_back(&self) {
        let mut inner = self.0.borrow_mut();
        inner.free += 1;
        inner.wake_first();
    }

    /// No permit will come any more: all who wait are told, in their order.
    pub(super) fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.is_closed = true;
        inner.waiting.iter().for_each(|waiter| waiter.waker.wake_by_ref());
    }
}

impl Inner {
    fn wake_first(&self) {
        if let Some(first) = self.waiting.front().filter(|_| self.free > 0 || self.is_closed) {
            first.waker.wake_by_ref();
        }
    }

    fn is_first(&self, ticket: Option<u64>) -> bool {
        self.waiting.front().is_none_or(|first| Some(first.ticket) == ticket)
    }
}

/// One wait at a gate. It borrows nothing.
pub(super) struct Turn {
    gate: Gate,
    /// The words for a use outside of a workflow.
    what: &'static str,
    wait: Option<Wait>,
    is_over: bool,
}

/// The place of a turn among the waiters, and its line in the table of the execution.
struct Wait {
    ticket: u64,
    ctx: Rc<Shared>,
    line: u64,
}

impl Turn {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let ctx = context::expect(self.what);
        if self.is_over {
            if ctx.halted() {
                return Poll::Pending;
            }
            context::polled_again(self.what);
        }
        let waker = ctx.register(cx);
        let ticket = self.wait.as_ref().map(|wait| wait.ticket);
        let mut inner = self.gate.0.borrow_mut();
        let first = inner.is_first(ticket);
        let turn = match inner.free {
            0 if inner.is_closed => Some(Err(Closed)),
            1.. if first => Some(Ok(())),
            _ => None,
        };
        if let Some(turn) = turn {
            inner.free -= usize::from(turn.is_ok());
            drop(inner);
            self.is_over = true;
            self.leave();
            return Poll::Ready(turn);
        }
        match inner.waiting.iter_mut().find(|waiter| Some(waiter.ticket) == ticket) {
            Some(waiter) => waiter.waker = waker,
            None => {
                let ticket = inner.next;
                inner.next += 1;
                inner.waiting.push_back(Waiter { ticket, waker });
                let line = ctx.tables.waits.borrow_mut().begin(ctx.site());
                self.wait = Some(Wait { ticket, ctx: Rc::clone(&ctx), line });
            }
        }
        Poll::Pending
    }

    /// Leaves the queue. The next one may be able to go on.
    fn leave(&mut self) {
        if let Some(wait) = self.wait.take() {
            wait.ctx.tables.waits.borrow_mut().end(wait.line);
            let mut inner = self.gate.0.borrow_mut();
            inner.waiting.retain(|waiter| waiter.ticket != wait.ticket);
            inner.wake_first();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}
