//! Semaphore and mutex.

use super::gate::{Gate, Turn};
use crate::exec::context;
use crate::guard::engine_future;
use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Lets a number of tasks of this execution go on at a time, first come, first served.
///
/// A clone shares the permits. The futures and the permits borrow nothing, so the semaphore may be a field of the
/// workflow's state. It records nothing: a replay repeats the order in which tasks ask.
#[derive(Clone)]
pub struct Semaphore(Gate);

impl Semaphore {
    /// A semaphore with this number of permits.
    pub fn new(permits: usize) -> Self {
        Self(Gate::new(permits))
    }

    /// Waits for a permit. A drop of the future leaves the queue; a drop of the permit gives it back.
    pub fn acquire(&self) -> Acquire {
        Acquire { turn: self.0.turn("a semaphore's `acquire`"), gate: self.0.clone() }
    }

    /// How many permits are free.
    pub fn available_permits(&self) -> usize {
        self.0.free()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available_permits", &self.0.free()).finish()
    }
}

/// See [`Semaphore::acquire`].
#[must_use = "futures do nothing until they are awaited"]
pub struct Acquire {
    turn: Turn,
    gate: Gate,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Permit> {
        // A semaphore is never closed.
        self.turn.poll(cx).map(|_| Permit(self.gate.clone()))
    }
}

engine_future!([] Acquire);

/// A permit of a [`Semaphore`]. A drop gives it back.
#[must_use = "a permit is given back when it is dropped"]
pub struct Permit(Gate);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// A value that tasks of this execution use one at a time, also across awaits, first come, first served.
///
/// A clone shares the value. Only one part of a workflow runs at a time, so plain fields need no lock; a mutex is for
/// tasks and handlers that must not interleave at their awaits. It has no poison: a panic suspends the execution.
pub struct Mutex<T> {
    gate: Gate,
    value: Rc<RefCell<Option<T>>>,
}

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self { gate: Gate::new(1), value: Rc::new(RefCell::new(Some(value))) }
    }

    /// Waits for its turn. The guard borrows nothing: it may be held across awaits, also if the mutex is a field of
    /// the workflow's state. A task that locks it twice waits for itself (`AB0204`).
    pub fn lock(&self) -> Lock<T> {
        Lock { turn: self.gate.turn("a mutex's `lock`"), mutex: self.clone() }
    }
}

impl<T> Clone for Mutex<T> {
    fn clone(&self) -> Self {
        Self { gate: self.gate.clone(), value: Rc::clone(&self.value) }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.value.borrow() {
            Some(value) => f.debug_tuple("Mutex").field(value).finish(),
            None => f.write_str("Mutex(<locked>)"),
        }
    }
}

/// See [`Mutex::lock`].
#[must_use = "futures do nothing until they are awaited"]
pub struct Lock<T> {
    turn: Turn,
    mutex: Mutex<T>,
}

impl<T> Future for Lock<T> {
    type Output = MutexGuard<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<MutexGuard<T>> {
        if self.turn.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let mutex = self.mutex.clone();
        let value = mutex.value.borrow_mut().take();
        match value {
            Some(_) => Poll::Ready(MutexGuard { value, mutex }),
            // The permit says that the value is here.
            None => context::polled_again("a mutex's `lock`"),
        }
    }
}

engine_future!([T] Lock<T>);

/// The turn with a [`Mutex`]'s value. It holds the value, and puts it back when dropped.
#[must_use = "a lock is given back when its guard is dropped"]
pub struct MutexGuard<T> {
    /// `None` only in its drop.
    value: Option<T>,
    mutex: Mutex<T>,
}

impl<T> Deref for MutexGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("the guard holds the value until its drop")
    }
}

impl<T> DerefMut for MutexGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the guard holds the value until its drop")
    }
}

impl<T> Drop for MutexGuard<T> {
    fn drop(&mut self) {
        *self.mutex.value.borrow_mut() = self.value.take();
        self.mutex.gate.give_back();
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
