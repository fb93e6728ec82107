//! A channel between the tasks and handlers of one execution.

use super::gate::{Gate, Turn};
use crate::exec::context;
use crate::guard::engine_future;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    /// A permit for each free place. Closed when the last receiver is gone.
    room: Gate,
    /// A permit for each item. Closed when the last sender is gone.
    filled: Gate,
    senders: Cell<usize>,
    receivers: Cell<usize>,
}

/// Makes a channel between the tasks and handlers of this execution, like `tokio::sync::mpsc::channel`. It holds
/// `capacity` values, at least one; [`Sender::send`] waits for a free place.
///
/// Both ends can be cloned. A value goes to one receiver, first come, first served. The futures borrow nothing, so an
/// end may be a field of the workflow's state. A channel records nothing: a replay fills it again.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Rc::new(Queue {
        items: RefCell::default(),
        room: Gate::new(capacity.max(1)),
        filled: Gate::default(),
        senders: Cell::new(1),
        receivers: Cell::new(1),
    });
    (Sender(Rc::clone(&queue)), Receiver(queue))
}

/// The sending end of a [`channel`].
pub struct Sender<T>(Rc<Queue<T>>);

impl<T> Sender<T> {
    /// Sends `value` as soon as there is a free place. Fails with the value if all receivers are gone.
    pub fn send(&self, value: T) -> Sending<T> {
        Sending { turn: self.0.room.turn("a channel's `send`"), sender: self.clone(), value: Some(value) }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.senders.set(self.0.senders.get() - 1);
        if self.0.senders.get() == 0 {
            self.0.filled.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// All receivers of the channel are gone. Holds the value that was not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all receivers of the channel are gone")
    }
}

impl<T> std::error::Error for SendError<T> {}

/// See [`Sender::send`].
#[must_use = "nothing is sent until it is awaited"]
pub struct Sending<T> {
    turn: Turn,
    sender: Sender<T>,
    value: Option<T>,
}

// The value is never pinned.
impl<T> Unpin for Sending<T> {}

impl<T> Future for Sending<T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.turn.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let Some(value) = this.value.take() else { context::polled_again("a channel's `send`") };
        if this.sender.0.receivers.get() == 0 {
            return Poll::Ready(Err(SendError(value)));
        }
        this.sender.0.items.borrow_mut().push_back(value);
        this.sender.0.filled.give_back();
        Poll::Ready(Ok(()))
    }
}

engine_future!([T] Sending<T>);

/// The receiving end of a [`channel`].
pub struct Receiver<T>(Rc<Queue<T>>);

impl<T> Receiver<T> {
    /// Waits for the next value. `None` if all senders are gone and no value is left.
    pub fn recv(&self) -> Recv<T> {
        Recv { turn: self.0.filled.turn("a channel's `recv`"), receiver: self.clone() }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.receivers.set(self.0.receivers.get() + 1);
        Self(Rc::clone(&self.0))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.receivers.set(self.0.receivers.get() - 1);
        if self.0.receivers.get() == 0 {
            self.0.room.close();
            // A value's drop is user code, which may use this channel.
            let left = self.0.items.take();
            drop(left);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

/// See [`Receiver::recv`].
#[must_use = "futures do nothing until they are awaited"]
pub struct Recv<T> {
    turn: Turn,
    receiver: Receiver<T>,
}

impl<T> Future for Recv<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.turn.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let item = self.receiver.0.items.borrow_mut().pop_front();
        if item.is_some() {
            self.receiver.0.room.give_back();
        }
        Poll::Ready(item)
    }
}

engine_future!([T] Recv<T>);
