//! Moves a workflow's state at `.await`.
//!
//! Between two awaits, a body owns the state through a plain `&mut S`. At each await it puts the state into
//! the execution's [`Slot`], where signals and queries can reach it, and takes it back afterwards. All of
//! this is safe code: the state moves in and out of a cell, and rustc refuses a reference that is kept across
//! an await.

use crate::code::Code;
use crate::exec::context;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

const IN_USE: &str = "the workflow's state is in use: a macro of another crate hid an `.await` from \
                      `#[workflow]`; write it out, or await outside of the macro";

/// Holds an execution's state while no body has it.
pub struct Slot<S> {
    state: Rc<RefCell<Option<Box<S>>>>,
    address: usize,
}

impl<S> Clone for Slot<S> {
    fn clone(&self) -> Self {
        Self { state: Rc::clone(&self.state), address: self.address }
    }
}

impl<S: 'static> Slot<S> {
    /// A slot that holds `state`.
    pub fn new(state: S) -> Self {
        let boxed = Box::new(state);
        let address = std::ptr::from_ref::<S>(&boxed) as usize;
        Self { state: Rc::new(RefCell::new(Some(boxed))), address }
    }

    /// Reads the parked state. `None`: a body has it.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&S) -> R) -> Option<R> {
        self.state.borrow().as_deref().map(f)
    }

    /// Changes the parked state. `None`: a body has it. The state stays out of the cell during the call, so a
    /// handler that accesses it again gets an error instead of a double borrow.
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(&mut S) -> R) -> Option<R> {
        let mut this = This::of(self.clone());
        this.take().then(|| f(this.held.as_deref_mut().expect("taken just now")))
    }
}

/// A body's access to the state. It is created once per body, parked at each await, and put back when
/// dropped.
pub struct This<S> {
    slot: Slot<S>,
    held: Option<Box<S>>,
}

impl<S: 'static> This<S> {
    /// Access to the state in `slot`, which stays there until [`This::resume`].
    pub fn of(slot: Slot<S>) -> Self {
        Self { slot, held: None }
    }

    /// The access of a helper method called as `self.helper()`. The state must be the one of this execution.
    ///
    /// # Panics
    /// If `state` is not the running execution's state: the executor suspends with `AB0118`.
    pub fn current(state: &S) -> Self {
        let address = std::ptr::from_ref(state) as usize;
        let slot =
            context::current().and_then(|ctx| ctx.slot::<Slot<S>>()).filter(|slot| slot.address == address);
        match slot {
            Some(slot) => Self::of(slot),
            None => panic!(
                "{}: `{}` is not this execution's state: async methods of a workflow can only be called on `self`",
                Code::HiddenAwait,
                std::any::type_name::<S>()
            ),
        }
    }

    /// The slot, for async blocks that use `self`.
    pub fn slot(&self) -> Slot<S> {
        self.slot.clone()
    }

    /// Takes the state.
    ///
    /// # Panics
    /// If another body has it: the executor suspends with `AB0118`.
    pub fn resume(&mut self) -> &mut S {
        assert!(self.held.is_some() || self.take(), "{}: {IN_USE}", Code::HiddenAwait);
        self.held.as_deref_mut().expect("taken just now")
    }

    /// Puts the state into the slot for the duration of one await.
    pub fn park(&mut self) -> Parked<'_, S> {
        self.put_back();
        Parked { this: self }
    }

    fn take(&mut self) -> bool {
        self.held = self.slot.state.borrow_mut().take();
        if let Some(ctx) = context::current().filter(|_| self.held.is_some()) {
            ctx.watch.note_progress();
        }
        self.held.is_some()
    }
}

impl<S> This<S> {
    fn put_back(&mut self) {
        if let Some(state) = self.held.take() {
            *self.slot.state.borrow_mut() = Some(state);
        }
    }
}

impl<S> Drop for This<S> {
    fn drop(&mut self) {
        self.put_back();
    }
}

/// The state is parked because an await is pending.
pub struct Parked<'a, S> {
    this: &'a mut This<S>,
}

impl<'a, S: 'static> Parked<'a, S> {
    /// Takes the state back after the await.
    ///
    /// # Panics
    /// Like [`This::resume`].
    pub fn resume(self) -> &'a mut S {
        self.this.resume()
    }
}

/// A slot whose state type only its owner knows.
pub(crate) fn erase<S: 'static>(slot: &Slot<S>) -> Box<dyn Any> {
    Box::new(slot.clone())
}
